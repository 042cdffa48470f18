// openai_models.cpp - /v1/models: the models of the store as OpenAI lists them (spec 2.5), and as
// Anthropic does for its own clients.
#include "api/duration.h"
#include "server/service.h"
#include "server/wire.h"
#include "store/name.h"

namespace cria::server {
namespace {

Json openai_model(const Model& model, const std::string& id) {
  return {{"id", id},
          {"object", "model"},
          {"created",
           std::chrono::duration_cast<std::chrono::seconds>(model.modified_at.time_since_epoch())
               .count()},
          {"owned_by", store::ModelName::require(model.full_name).space()}};
}

Json anthropic_model(const Model& model, const std::string& id) {
  return {{"type", "model"},
          {"id", id},
          {"display_name", id},
          {"created_at", api::format_utc(model.modified_at)}};
}

Json described(const http::Exchange& exchange, const Model& model, const std::string& id) {
  return dialect_of(exchange.request()) == Dialect::kAnthropic ? anthropic_model(model, id)
                                                               : openai_model(model, id);
}

// One page with all of them, whatever `limit` says.
Json anthropic_page(Json data) {
  Json first, last;
  if (!data.empty()) {
    first = data.front()["id"];
    last = data.back()["id"];
  }
  return {{"data", std::move(data)},
          {"has_more", false},
          {"first_id", std::move(first)},
          {"last_id", std::move(last)}};
}

}  // namespace

void get_openai_models(Service& service, http::Exchange& exchange, const std::string&) {
  Json data = Json::array();
  for (const Model& model : service.models.list())
    data.push_back(described(exchange, model, model.short_name));
  if (dialect_of(exchange.request()) == Dialect::kAnthropic)
    return answer_json(exchange, anthropic_page(std::move(data)));
  answer_json(exchange, {{"object", "list"}, {"data", std::move(data)}});
}

void get_openai_model(Service& service, http::Exchange& exchange, const std::string& id) {
  const auto name = store::ModelName::require(id);
  if (!service.models.store().find(name))
    fail(ErrorKind::kNotFound, "model '{}' not found", name.short_text());
  answer_json(exchange, described(exchange, service.models.find(id), id));
}

}  // namespace cria::server
