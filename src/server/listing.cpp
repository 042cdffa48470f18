// listing.cpp - /api/tags, /api/ps and /api/show.
#include "api/fields.h"
#include "api/modelfile.h"
#include "server/service.h"

#include <algorithm>

namespace cria::server {
namespace {

constexpr std::string_view kPlainTemplate = "{{ .Prompt }}";

// The Modelfile that makes this model again.
std::string modelfile_of(const Model& model) {
  const auto text = [&](const char* key) { return json_string(model.config, key).value_or(""); };
  api::Modelfile m = {.from = {model.model_path},
                      .adapters = model.adapter_paths,
                      .licenses = model.licenses,
                      .model_template = model.template_text,
                      .system = model.system,
                      .renderer = text("renderer"),
                      .parser = text("parser"),
                      .requires_version = text("requires"),
                      .has_template = !model.template_text.empty(),
                      .has_system = !model.system.empty(),
                      .parameters = model.parameters,
                      .messages = model.messages};
  m.from.insert(m.from.end(), model.projector_paths.begin(), model.projector_paths.end());
  return api::write_modelfile(m, model.short_name);
}

std::string joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : "\n") + text;
  return out;
}

Json shown(const Model& model, const Facts& facts, const api::ShowRequest& request) {
  std::string template_text = model.template_text;
  if (template_text.empty())
    template_text = facts.chat_template.empty() ? kPlainTemplate : facts.chat_template;
  Json json = Json::object();
  const auto put = [&](const char* key, std::string text) {
    if (!text.empty()) json[key] = std::move(text);
  };
  put("license", joined(model.licenses));
  Model printed = model;
  for (const auto& [name, value] : request.options.items()) printed.parameters[name] = value;
  put("modelfile", modelfile_of(printed));
  put("parameters", api::write_parameters(model.parameters));
  put("template", template_text);
  put("system", request.system.empty() ? model.system : request.system);
  json["details"] = model.details();
  if (!model.messages.empty()) json["messages"] = model.messages;
  json["model_info"] = facts.model_info;
  json["tensors"] = facts.tensors;
  json["capabilities"] = facts.capabilities;
  json["modified_at"] = api::format_local(model.modified_at);
  put("requires", json_string(model.config, "requires").value_or(""));
  return json;
}

}  // namespace

void get_tags(Service& service, http::Exchange& exchange, const std::string&) {
  Json models = Json::array();
  for (const Model& model : service.models.list()) {
    Json one = {{"name", model.short_name},
                {"model", model.short_name},
                {"modified_at", api::format_local(model.modified_at)},
                {"size", model.size},
                {"digest", model.digest},
                {"details", model.details()}};
    try {
      const std::shared_ptr<const Facts> facts = service.models.facts(model, exchange.gone());
      if (facts->context_length > 0) one["details"]["context_length"] = facts->context_length;
      if (facts->embedding_length > 0) one["details"]["embedding_length"] = facts->embedding_length;
      if (!facts->capabilities.empty()) one["capabilities"] = facts->capabilities;
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::kCancelled) throw;  // a broken file is listed all the same
    }
    models.push_back(std::move(one));
  }
  answer_json(exchange, {{"models", std::move(models)}});
}

void get_ps(Service& service, http::Exchange& exchange, const std::string&) {
  Json models = Json::array();
  for (const LoadedModel& model : service.scheduler.loaded()) {
    Json details = model.details;
    details["parent_model"] = "";
    models.push_back({{"name", model.name},
                      {"model", model.name},
                      {"size", model.size},
                      {"digest", model.digest},
                      {"details", std::move(details)},
                      {"expires_at", api::format_local(model.expires_at)},
                      {"size_vram", 0},
                      {"context_length", model.context_length}});
  }
  answer_json(exchange, {{"models", std::move(models)}});
}

void post_show(Service& service, http::Exchange& exchange, const std::string&) {
  const api::ShowRequest request = api::parse_show(api::parse_body(exchange.request().body));
  const auto name = store::ModelName::parse(request.model);
  if (!name) fail(ErrorKind::kInvalidInput, "invalid model name");
  if (!service.models.store().find(*name))
    fail(ErrorKind::kNotFound, "model '{}' not found", name->short_text());
  const std::shared_ptr<const Model> model = service.models.find(request.model);
  Facts facts = *service.models.facts(*model, exchange.gone());
  if (request.verbose)
    facts.model_info = service.models.inspect(model->model_path, true, exchange.gone())->model_info;
  answer_json(exchange, shown(*model, facts, request));
}

}  // namespace cria::server
