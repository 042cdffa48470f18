// openai_models.cpp - /v1/models: the models of the store as OpenAI lists them (spec 2.5).
#include "server/service.h"
#include "store/name.h"

namespace cria::server {
namespace {

Json described(const Model& model, const std::string& id) {
  return {{"id", id},
          {"object", "model"},
          {"created",
           std::chrono::duration_cast<std::chrono::seconds>(model.modified_at.time_since_epoch())
               .count()},
          {"owned_by", store::ModelName::require(model.full_name).space()}};
}

}  // namespace

void get_openai_models(Service& service, http::Exchange& exchange, const std::string&) {
  Json data = Json::array();
  for (const Model& model : service.models.list())
    data.push_back(described(model, model.short_name));
  answer_json(exchange, {{"object", "list"}, {"data", std::move(data)}});
}

void get_openai_model(Service& service, http::Exchange& exchange, const std::string& id) {
  const auto name = store::ModelName::require(id);
  if (!service.models.store().find(name))
    fail(ErrorKind::kNotFound, "model '{}' not found", name.short_text());
  answer_json(exchange, described(service.models.find(id), id));
}

}  // namespace cria::server
