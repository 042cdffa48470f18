#include "server/models.h"

#include "base/error.h"
#include "base/log.h"

#include <algorithm>

namespace cria::server {
namespace {

constexpr std::chrono::minutes kJobTimeout{10};

std::vector<std::string> texts_of(const Json& json, std::string_view key) {
  std::vector<std::string> out;
  const Json* const list = json_find(json, key);
  if (list == nullptr) return out;
  if (!list->is_array()) fail(ErrorKind::kInvalidInput, "field \"{}\" must be an array", key);
  for (const Json& item : *list) {
    if (!item.is_string()) fail(ErrorKind::kInvalidInput, "field \"{}\" must hold strings", key);
    out.push_back(item.get<std::string>());
  }
  return out;
}

Json part_of(const Json& json, std::string_view key, Json fallback) {
  const Json* const value = json_find(json, key);
  if (value == nullptr) return fallback;
  if (value->type() != fallback.type())
    fail(ErrorKind::kInvalidInput, "field \"{}\" must be {}, not {}", key, fallback.type_name(),
         value->type_name());
  return *value;
}

void add_layer(const store::Store& store, const store::Layer& layer, Model& model) {
  const std::string_view kind = layer.kind();
  const std::string path = store.blob_path(layer.digest).string();
  if (kind == "model") {
    model.model_path = path;
    model.prompt_file = store.prompt_file_path(layer.digest).string();
    model.parent = layer.from;
  } else if (kind == "adapter") {
    model.adapter_paths.push_back(path);
  } else if (kind == "projector") {
    model.projector_paths.push_back(path);
  } else if (kind == "template" || kind == "prompt") {
    model.template_text = store.read_blob_text(layer);
  } else if (kind == "system") {
    model.system = store.read_blob_text(layer);
  } else if (kind == "license") {
    model.licenses.push_back(store.read_blob_text(layer));
  } else if (kind == "params") {
    model.parameters = parse_json(store.read_blob_text(layer));
  } else if (kind == "messages") {
    model.messages = parse_json(store.read_blob_text(layer));
  }
}

Model model_of(const store::Store& store, const store::StoredModel& stored) {
  Model model = {.short_name = stored.name.short_text(),
                 .full_name = stored.name.full(),
                 .digest = stored.digest,
                 .size = stored.manifest.total_size(),
                 .modified_at = stored.modified};
  model.config = parse_json(store.read_blob_text(stored.manifest.config));
  for (const store::Layer& layer : stored.manifest.layers) add_layer(store, layer, model);
  if (!model.parameters.is_object()) model.parameters = Json::object();
  if (!model.messages.is_array()) model.messages = Json::array();
  model.messages = api::check_messages("Message", model.messages);
  return model;
}

}  // namespace

bool Facts::can(std::string_view capability) const {
  return std::ranges::find(capabilities, capability) != capabilities.end();
}

Facts facts_from_json(const Json& json) {
  const auto text = [&](std::string_view key) { return json_string(json, key).value_or(""); };
  return {.family = text("family"),
          .parameter_size = text("parameter_size"),
          .quantization_level = text("quantization_level"),
          .kind = text("general_type"),
          .context_length = json_integer(json, "context_length").value_or(0),
          .embedding_length = json_integer(json, "embedding_length").value_or(0),
          .capabilities = texts_of(json, "capabilities"),
          .model_info = part_of(json, "model_info", Json::object()),
          .tensors = part_of(json, "tensors", Json::array()),
          .chat_template = text("chat_template"),
          .template_text = text("template"),
          .template_name = text("template_name"),
          .parameters = part_of(json, "parameters", Json::object()),
          .problem = text("problem")};
}

Json Model::details() const {
  const auto text = [&](std::string_view key) { return json_string(config, key).value_or(""); };
  const Json* const families = json_find(config, "model_families");
  const std::string format = text("model_format");
  return {{"parent_model", parent},
          {"format", format.empty() ? "gguf" : format},
          {"family", text("model_family")},
          {"families", families == nullptr ? Json() : *families},
          {"parameter_size", text("model_type")},
          {"quantization_level", text("file_type")}};
}

std::shared_ptr<const Model> Models::find(const std::string& name) {
  const auto parsed = store::ModelName::parse(name);
  if (!parsed) fail(ErrorKind::kInvalidInput, "invalid model name");
  const std::string key = parsed->full();
  const auto stamp = store_.stamp(*parsed);  // before it is read, so that it is never too new
  {
    const std::lock_guard lock(mutex_);
    const auto it = known_.find(key);
    if (it != known_.end() && stamp == it->second.stamp) return it->second.model;
    if (it != known_.end()) known_.erase(it);
  }
  const auto stored = store_.find(*parsed);
  if (!stored) fail(ErrorKind::kNotFound, "model '{}' not found", name);
  auto model = std::make_shared<const Model>(model_of(store_, *stored));
  if (model->model_path.empty())
    fail(ErrorKind::kUnsupported, "model '{}' has no weights in a format that can be run", name);
  if (!stamp) return model;
  const std::lock_guard lock(mutex_);
  known_[key] = {.stamp = *stamp, .model = model};
  return model;
}

void Models::forget() {
  const std::lock_guard lock(mutex_);
  known_.clear();
}

std::vector<Model> Models::list() const {
  std::vector<Model> out;
  for (const store::StoredModel& stored : store_.list()) {
    try {
      out.push_back(model_of(store_, stored));
    } catch (const Error& e) {
      log::warn("skipping model {}: {}", stored.name.short_text(), e.what());
    }
  }
  return out;
}

std::shared_ptr<const Facts> Models::inspect(const std::string& path, bool verbose,
                                             const std::stop_token& stop) {
  if (!verbose) {
    const std::lock_guard lock(mutex_);
    if (const auto it = inspected_.find(path); it != inspected_.end()) return it->second;
  }
  const Json result = run_job(
      spawner_, {.kind = "inspect", .arguments = {{"path", path}, {"verbose", verbose}}}, stop);
  auto facts = std::make_shared<const Facts>(facts_from_json(result));
  if (verbose) return facts;
  const std::lock_guard lock(mutex_);
  return inspected_[path] = std::move(facts);
}

std::optional<std::vector<std::string>> Models::template_capabilities(const Model& model,
                                                                      const Facts& facts,
                                                                      const std::stop_token& stop) {
  if (model.template_text.empty() && facts.chat_template.empty()) return std::vector<std::string>();
  const std::pair key(model.model_path, model.template_text);
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = template_capabilities_.find(key); it != template_capabilities_.end())
      return it->second;
  }
  std::vector<std::string> capabilities;
  try {
    capabilities = texts_of(run_job(spawner_,
                                    {.kind = "template_capabilities",
                                     .arguments = {{"template", model.template_text},
                                                   {"chat_template", facts.chat_template}}},
                                    stop),
                            "capabilities");
  } catch (const Error& e) {  // a broken template is listed and shown all the same
    if (e.kind() == ErrorKind::kCancelled) throw;
    log::warn("{}: {}", model.short_name, e.what());
    return std::nullopt;  // and asked again the next time: it may have been the machine's fault
  }
  const std::lock_guard lock(mutex_);
  return template_capabilities_[key] = std::move(capabilities);
}

std::shared_ptr<const Facts> Models::facts(const Model& model, const std::stop_token& stop) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = facts_.find(model.digest); it != facts_.end()) return it->second;
  }
  Facts facts = *inspect(model.model_path, false, stop);
  const auto of_templates = template_capabilities(model, facts, stop);
  for (const std::string& capability : of_templates.value_or(std::vector<std::string>()))
    if (!facts.can(capability)) facts.capabilities.push_back(capability);
  if (!model.projector_paths.empty() && !facts.can("vision"))
    facts.capabilities.push_back("vision");
  auto out = std::make_shared<const Facts>(std::move(facts));
  if (!of_templates) return out;
  const std::lock_guard lock(mutex_);
  return facts_[model.digest] = std::move(out);
}

Json run_job(protocol::Spawner& spawner, const protocol::Job& job, const std::stop_token& stop,
             const std::function<void(double)>& on_progress) {
  const auto child = spawner.start("worker");
  const std::stop_callback killer(stop, [&] { child->kill(); });
  std::string why;
  try {
    child->channel().send(protocol::to_json(job));
    while (const auto message =
               child->channel().receive(protocol::Channel::Clock::now() + kJobTimeout)) {
      protocol::Event event = protocol::event_from_json(*message);
      if (auto* result = std::get_if<protocol::Result>(&event)) return std::move(result->value);
      if (const auto* failure = std::get_if<protocol::Failure>(&event))
        throw Error(failure->kind, failure->message);
      if (const auto* progress = std::get_if<protocol::Progress>(&event); progress && on_progress)
        on_progress(progress->fraction);
    }
  } catch (const Error& e) {
    if (stop.stop_requested()) fail(ErrorKind::kCancelled, "request canceled");
    if (e.kind() != ErrorKind::kUpstream) throw;
    why = e.what();
  }
  if (stop.stop_requested()) fail(ErrorKind::kCancelled, "request canceled");
  const auto ending = child->wait(std::chrono::seconds(1));
  fail(ErrorKind::kInternal, "the worker for \"{}\" {}{}", job.kind,
       ending.value_or("stopped answering"), why.empty() ? "" : ": " + why);
}

}  // namespace cria::server
