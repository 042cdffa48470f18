// tokenize.cpp - /api/tokenize and /api/detokenize: the model's own tokenizer, in its runner.
#include "api/tokenize.h"

#include "api/fields.h"
#include "server/generate.h"
#include "server/requests.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace cria::server {
namespace {

// Calls `take` with each event of the answer but its last, Done.
template <class Request>
void ask(Service& service, http::Exchange& exchange, const std::string& name,
         std::optional<api::Nanoseconds> keep_alive, Request request,
         const std::function<void(protocol::Event&)>& take) {
  const std::stop_token gone = exchange.gone();
  const std::shared_ptr<const Model> found = service.models.find(name);
  const Model& model = *found;
  note_model(model.short_name);
  ModelUse use = use_of(service, model, Json::object(), gone);
  use.takes = Takes::kNothing;
  const Lease lease = lease_for(service, use, keep_alive, gone);
  const auto answer = lease.runner().submit(std::move(request));
  for (;;) {
    protocol::Event event = answer->next(gone);
    if (std::holds_alternative<protocol::Done>(event)) return;
    take(event);
  }
}

Json with_pieces(const std::vector<int32_t>& tokens, const Json& pieces) {
  Json out = Json::array();
  for (size_t i = 0; i < std::min(tokens.size(), pieces.size()); ++i)
    out.push_back({{"id", tokens[i]}, {"piece", pieces[i]}});
  return out;
}

}  // namespace

void post_tokenize(Service& service, http::Exchange& exchange, const std::string&) {
  api::TokenizeRequest asked = api::parse_tokenize(api::parse_body(exchange.request().body));
  Json tokens = Json::array();
  try {
    ask(service, exchange, asked.model, asked.keep_alive,
        protocol::Tokenize{.text = std::move(asked.content),
                           .add_special = asked.add_special,
                           .parse_special = asked.parse_special,
                           .pieces = asked.with_pieces},
        [&](const protocol::Event& event) {
          const auto* const part = std::get_if<protocol::Tokens>(&event);
          if (part == nullptr) return;
          Json more =
              asked.with_pieces ? with_pieces(part->tokens, part->pieces) : Json(part->tokens);
          tokens.insert(tokens.end(), more.begin(), more.end());
        });
  } catch (const Error& e) {
    throw as_client_error(e);
  }
  answer_json(exchange, {{"model", asked.model}, {"tokens", std::move(tokens)}});
}

void post_detokenize(Service& service, http::Exchange& exchange, const std::string&) {
  api::DetokenizeRequest asked = api::parse_detokenize(api::parse_body(exchange.request().body));
  std::string content;
  try {
    ask(service, exchange, asked.model, asked.keep_alive,
        protocol::Detokenize{.tokens = std::move(asked.tokens)}, [&](const protocol::Event& event) {
          if (const auto* const text = std::get_if<protocol::Text>(&event))
            content += text->content;
        });
  } catch (const Error& e) {
    throw as_client_error(e);
  }
  answer_json(exchange, {{"model", asked.model}, {"content", content}});
}

}  // namespace cria::server
