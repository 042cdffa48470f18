// embed.cpp - /api/embed, /api/embeddings and /v1/embeddings: texts to a runner, vectors back.
#include "api/embed.h"
#include "api/fields.h"
#include "base/base64.h"
#include "server/generate.h"
#include "server/requests.h"
#include "server/vectors.h"

#include <array>
#include <charconv>
#include <cstring>
#include <utility>

namespace cria::server {
namespace {

// The number with the fewest digits that is this float: clients read it back exactly.
double shortest(float value) {
  std::array<char, 32> text;
  const char* const end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  double out = 0;
  std::from_chars(text.data(), end, out);
  return out;
}

Json numbers(const std::vector<float>& values) {
  Json out = Json::array();
  for (const float value : values) out.push_back(shortest(value));
  return out;
}

std::string base64_of(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return base64_encode(bytes);
}

std::shared_ptr<const Model> find_model(Service& service, const std::string& name) {
  try {
    return service.models.find(name);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kNotFound || name.empty()) throw;
    fail(ErrorKind::kNotFound, "model \"{}\" not found, try pulling it first", name);
  }
}

Vectors embed(Service& service, http::Exchange& exchange, api::EmbedRequest request,
              bool normalize) {
  if (request.model.empty()) fail(ErrorKind::kNotFound, "model '' not found");
  const std::shared_ptr<const Model> found = find_model(service, request.model);
  const Model& model = *found;
  note_model(model.short_name);
  const Json options = merged_options(model, request.options);
  return vectors_of(service, exchange.gone(),
                    {.use = use_of(service, model, options, exchange.gone()),
                     .keep_alive = request.keep_alive,
                     .asked = {.inputs = std::move(request.inputs),
                               .truncate = request.truncate,
                               .num_ctx = num_ctx_of(options),
                               .dimensions = request.dimensions,
                               .normalize = normalize}});
}

}  // namespace

void post_embed(Service& service, http::Exchange& exchange, const std::string&) {
  api::EmbedRequest request = api::parse_embed(api::parse_body(exchange.request().body));
  const std::string model = request.model;
  const bool only_loads = request.inputs.empty();
  try {
    const Vectors vectors = embed(service, exchange, std::move(request), true);
    Json list = Json::array();
    for (const std::vector<float>& values : vectors.values) list.push_back(numbers(values));
    Json body = {{"model", model}, {"embeddings", std::move(list)}};
    if (!only_loads) {
      body["total_duration"] = vectors.total.count();
      body["load_duration"] = vectors.load.count();
      body["prompt_eval_count"] = vectors.tokens;
    }
    if (Json truncated = report_truncated(exchange, vectors); !truncated.is_null())
      body["truncated"] = std::move(truncated);
    answer_json(exchange, body);
  } catch (const Error& e) {
    throw as_client_error(e);
  }
}

// Numbers as doubles, and every failure of the engine a 500: as ever.
void post_embeddings(Service& service, http::Exchange& exchange, const std::string&) {
  api::EmbedRequest request = api::parse_embeddings(api::parse_body(exchange.request().body));
  try {
    const Vectors vectors = embed(service, exchange, std::move(request), false);
    Json list = Json::array();
    if (!vectors.values.empty())
      for (const float value : vectors.values.front()) list.push_back(double{value});
    answer_json(exchange, {{"embedding", std::move(list)}});
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::kNotFound || e.kind() == ErrorKind::kCancelled) throw;
    throw Error(ErrorKind::kInternal, e.what());
  }
}

void post_v1_embeddings(Service& service, http::Exchange& exchange, const std::string&) {
  try {
    api::EmbedRequest request = api::parse_v1_embeddings(api::parse_body(exchange.request().body));
    const std::string model = request.model;
    const bool base64 = request.base64;
    const Vectors vectors = embed(service, exchange, std::move(request), true);
    Json data = Json::array();
    for (const std::vector<float>& values : vectors.values)
      data.push_back({{"object", "embedding"},
                      {"embedding", base64 ? Json(base64_of(values)) : numbers(values)},
                      {"index", data.size()}});
    Json body = {{"object", "list"},
                 {"data", std::move(data)},
                 {"model", model},
                 {"usage", {{"prompt_tokens", vectors.tokens}, {"total_tokens", vectors.tokens}}}};
    if (Json truncated = report_truncated(exchange, vectors); !truncated.is_null())
      body["cria"]["truncated"] = std::move(truncated);
    answer_json(exchange, body);
  } catch (const Error& e) {
    throw as_client_error(e);
  }
}

}  // namespace cria::server
