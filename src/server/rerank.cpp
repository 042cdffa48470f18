// rerank.cpp - /api/rerank and /v1/rerank: documents in the order of their relevance to a query.
#include "api/rerank.h"
#include "api/fields.h"
#include "server/generate.h"
#include "server/requests.h"
#include "server/vectors.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

namespace cria::server {
namespace {

// Similarity of embeddings is no substitute: it is another measure, whose users have /api/embed.
void check_ranks(const std::string& name, const Facts& facts) {
  if (facts.can("rerank")) return;
  fail(ErrorKind::kInvalidInput,
       "\"{}\" does not support rerank, which takes a cross-encoder: a bert model whose "
       "pooling_type is 4 (rank); with an embedding model, compare vectors of /api/embed",
       name);
}

// A cross-encoder's score is the logit of "relevant".
double relevance(float score) {
  return 1 / (1 + std::exp(-double{score}));
}

Json results_of(const Vectors& scores, const api::RerankRequest& asked) {
  std::vector<size_t> order(scores.values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, std::less(), [&](size_t i) {  // equal ones as they came
    const float score = scores.values[i].front();
    return std::pair(std::isnan(score) ? INFINITY : -score, i);  // a broken model's come last
  });
  if (asked.top_n > 0 && std::cmp_less(asked.top_n, order.size()))
    order.resize(static_cast<size_t>(asked.top_n));
  Json results = Json::array();
  for (const size_t index : order) {
    Json result = {{"index", index}, {"relevance_score", relevance(scores.values[index].front())}};
    if (asked.return_documents) result["document"] = {{"text", asked.documents[index]}};
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace

void post_rerank(Service& service, http::Exchange& exchange, const std::string&) {
  const api::RerankRequest asked = api::parse_rerank(api::parse_body(exchange.request().body));
  try {
    const std::shared_ptr<const Model> found = service.models.find(asked.model);
    const Model& model = *found;
    note_model(model.short_name);
    check_ranks(asked.model, *service.models.facts(model, exchange.gone()));
    const Json options = merged_options(model, asked.options);
    const Vectors scores = vectors_of(service, exchange.gone(),
                                      {.use = use_of(service, model, options, exchange.gone()),
                                       .keep_alive = asked.keep_alive,
                                       .asked = {.inputs = asked.documents,
                                                 .query = asked.query,
                                                 .truncate = asked.truncate,
                                                 .num_ctx = num_ctx_of(options)}});
    Json body = {{"object", "list"},
                 {"model", asked.model},
                 {"results", results_of(scores, asked)},
                 {"usage", {{"prompt_tokens", scores.tokens}, {"total_tokens", scores.tokens}}}};
    if (Json truncated = report_truncated(exchange, scores); !truncated.is_null())
      body["cria"]["truncated"] = std::move(truncated);
    answer_json(exchange, body);
  } catch (const Error& e) {
    throw as_client_error(e);
  }
}

}  // namespace cria::server
