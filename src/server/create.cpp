// create.cpp - /api/create: layers from uploaded files or an existing model, then a manifest.
#include "api/fields.h"
#include "base/log.h"
#include "base/shard_name.h"
#include "base/text.h"
#include "server/service.h"
#include "store/config.h"

#include <algorithm>
#include <set>
#include <span>

namespace cria::server {
namespace {

constexpr std::string_view kGgufMagic = "GGUF";

// One model while it is made.
struct Draft {
  Service& service;
  const api::CreateRequest& request;
  const std::function<void(const Json&)>& send;
  std::stop_token stop;
  std::string from;  // origin of the weights, for the manifest
  std::vector<store::Layer> layers;
  Json config = Json::object();
  Json parameters = Json::object();
  std::set<std::string> created;      // digests of the layers that are new on this disk
  std::vector<store::Layer> sources;  // what was uploaded; gone afterwards where nothing uses it

  store::Store& store() const { return service.models.store(); }
  void status(const std::string& text) const { send({{"status", text}}); }
  void drop(std::string_view kind) {
    std::erase_if(layers, [&](const store::Layer& layer) { return layer.kind() == kind; });
  }
  void put(std::string_view content, std::string_view kind) {
    bool is_new = false;
    layers.push_back(store().write_blob(content, kind, &is_new));
    if (is_new) created.insert(layers.back().digest.text());
  }
};

void check_files(const std::vector<std::pair<std::string, std::string>>& files) {
  constexpr size_t kMaxFiles = 2000;  // twice the parts that a model may have
  if (files.size() > kMaxFiles)
    fail(ErrorKind::kInvalidInput, "{} files are too many, the limit is {}", files.size(),
         kMaxFiles);
  for (const auto& [path, digest] : files) {
    if (!is_plain_path(path)) fail(ErrorKind::kInvalidInput, "file path must be relative");
    store::Digest::require(digest);
  }
}

void take_facts(Draft& draft, const Facts& facts) {
  if (json_string(draft.config, "model_family").value_or("").empty()) {
    draft.config["model_format"] = "gguf";
    draft.config["model_family"] = facts.family;
    draft.config["model_type"] = facts.parameter_size;
    draft.config["file_type"] = facts.quantization_level;
  }
  Json& families = draft.config["model_families"];
  if (std::find(families.begin(), families.end(), facts.family) == families.end())
    families.push_back(facts.family);
}

bool has_magic(const store::Store& store, const store::Layer& layer) {
  const auto file = store.open_blob(layer);
  std::string magic(kGgufMagic.size(), '\0');
  if (file->size() < static_cast<int64_t>(magic.size())) return false;
  file->read_at(0, std::as_writable_bytes(std::span(magic)));
  return magic == kGgufMagic;
}

store::Layer uploaded(const Draft& draft, const std::string& digest, std::string_view kind) {
  const auto parsed = store::Digest::require(digest);
  if (!draft.store().has_blob(parsed))
    fail(ErrorKind::kInvalidInput, "blob \"{}\" not found, upload it first", digest);
  return draft.store().layer_of(parsed, kind);
}

// In capitals; a family stands for its middle member.
std::string type_name(std::string_view asked) {
  std::string name(asked);
  for (char& c : name)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return name == "Q3_K" || name == "Q4_K" || name == "Q5_K" ? name + "_M" : name;
}

// A model file that a worker makes of what is in the store; `status` stands beside its progress.
store::Layer made_by(Draft& draft, protocol::Job job, const std::string& status, int64_t bytes) {
  const auto report = [&](double fraction) {
    draft.send({{"status", status},
                {"digest", "0000000000000000000"},
                {"total", bytes},
                {"completed", static_cast<int64_t>(fraction * static_cast<double>(bytes))}});
  };
  report(0);
  store::Store::Upload output(draft.store());
  job.arguments["output"] = output.path().string();
  run_job(draft.service.models.spawner(), job, draft.stop, report);
  report(1);
  output.take_written();
  const store::Digest digest = output.finish();
  draft.created.insert(digest.text());
  return draft.store().layer_of(digest, "model");
}

// The layer's model in the type that was asked for; `facts` become those of the result.
store::Layer quantized(Draft& draft, const store::Layer& layer, Facts& facts) {
  const std::string wanted = type_name(draft.request.quantize);
  if (wanted == type_name(facts.quantization_level)) return layer;
  const store::Layer made = made_by(
      draft,
      {.kind = "quantize",
       .arguments = {{"path", draft.store().blob_path(layer.digest).string()}, {"type", wanted}}},
      fmt::format("quantizing {} model to {}", facts.quantization_level, wanted), layer.size);
  facts.quantization_level = wanted;
  return made;
}

void add_gguf(Draft& draft, const std::string& digest) {
  store::Layer layer = uploaded(draft, digest, "model");
  if (!has_magic(draft.store(), layer))
    fail(ErrorKind::kInvalidInput, "supplied file was not in GGUF format");
  draft.status("parsing GGUF");
  Facts facts = *draft.service.models.inspect(draft.store().blob_path(layer.digest).string(), false,
                                              draft.stop);
  const std::string kind = facts.kind.empty() ? "model" : facts.kind;
  layer = draft.store().layer_of(layer.digest, kind);
  draft.sources.push_back(layer);
  if (kind == "model" && !draft.request.quantize.empty()) layer = quantized(draft, layer, facts);
  layer.from = draft.from;
  draft.layers.push_back(layer);
  if (kind != "model") return;
  take_facts(draft, facts);
  // Stored all the same: another version, or another program on this store, may know it.
  if (!facts.problem.empty()) {
    log::warn("{} cannot run here: {}", draft.request.model, facts.problem);
    draft.status("warning: this model cannot run here: " + facts.problem);
  }
  if (facts.template_text.empty()) return;
  draft.status(facts.template_name.empty()
                   ? "using a template converted from the model's chat template"
                   : fmt::format("using autodetected template {}", facts.template_name));
  draft.put(facts.template_text, "template");
  for (const auto& [name, value] : facts.parameters.items()) draft.parameters[name] = value;
}

// The parts of one model become one blob. `files` are sorted, and begin with its first part.
std::string merged(Draft& draft, std::span<const std::pair<std::string, std::string>> files,
                   const ShardName& name) {
  Json paths = Json::array();
  int64_t bytes = 0;
  for (int number = 1; number <= name.count; ++number) {
    const auto part =
        std::ranges::find(files, name.part(number), &std::pair<std::string, std::string>::first);
    if (part == files.end())
      fail(ErrorKind::kInvalidInput, "part {} of {} is missing: {}", number, name.count,
           name.part(number));
    draft.sources.push_back(uploaded(draft, part->second, "model"));
    bytes += draft.sources.back().size;
    paths.push_back(draft.store().blob_path(draft.sources.back().digest).string());
  }
  return made_by(draft, {.kind = "merge", .arguments = {{"paths", std::move(paths)}}},
                 fmt::format("merging {} parts", name.count), bytes)
      .digest.text();
}

void add_files(Draft& draft) {
  auto files = draft.request.files;
  std::ranges::sort(files);
  for (const auto& [path, digest] : files) {
    if (path.ends_with(".safetensors"))
      fail(ErrorKind::kUnsupported,
           "importing safetensors is not supported by this version; convert to GGUF first");
    if (!path.ends_with(".gguf") && !has_magic(draft.store(), uploaded(draft, digest, "model")))
      fail(ErrorKind::kInvalidInput, "unknown type");
    const auto shard = parse_shard_name(path);
    if (!shard || shard->count == 1) {
      add_gguf(draft, digest);
      continue;
    }
    const auto first = std::ranges::find_if(files, [&](const auto& file) {
      const auto other = parse_shard_name(file.first);
      return other && other->prefix == shard->prefix && other->count == shard->count;
    });
    if (first->first == path) add_gguf(draft, merged(draft, files, *shard));
  }
}

void inherit(Draft& draft) {
  const auto name = store::ModelName::require(draft.request.from);
  if (!draft.store().find(name))
    pull_model(draft.service, name, {.stop = draft.stop},
               [&](const store::TransferStatus& status) { draft.status(status.status); });
  const auto base = draft.store().find(name);
  const std::shared_ptr<const Model> model = draft.service.models.find(draft.request.from);
  draft.config = model->config;
  draft.parameters = model->parameters;
  for (store::Layer layer : base->manifest.layers) {
    layer.from = base->name.short_text();
    if (layer.kind() == "model" && !draft.request.quantize.empty()) {
      Facts facts = *draft.service.models.inspect(draft.store().blob_path(layer.digest).string(),
                                                  false, draft.stop);
      const store::Layer made = quantized(draft, layer, facts);
      if (made.digest != layer.digest) {
        layer = made;
        draft.config["file_type"] = facts.quantization_level;
      }
    }
    if (layer.kind() != "params") draft.layers.push_back(std::move(layer));
  }
}

void add_adapters(Draft& draft) {
  if (draft.request.adapters.size() > 1)
    fail(ErrorKind::kInvalidInput, "only one adapter is currently supported");
  for (const auto& [path, digest] : draft.request.adapters) {
    store::Layer layer = uploaded(draft, digest, "adapter");
    if (!has_magic(draft.store(), layer))
      fail(ErrorKind::kInvalidInput, "supplied file was not in GGUF format");
    draft.layers.push_back(std::move(layer));
  }
}

void add_texts(Draft& draft) {
  const api::CreateRequest& request = draft.request;
  const auto replace = [&](const std::string& text, std::string_view kind) {
    if (text.empty()) return;
    draft.drop(kind);
    draft.put(text, kind);
  };
  if (!request.template_text.empty()) draft.drop("prompt");
  replace(request.template_text, "template");
  replace(request.system, "system");
  for (const std::string& license : request.licenses) draft.put(license, "license");
  for (const auto& [name, value] : request.parameters.items())
    if (!value.is_null()) draft.parameters[name] = value;
  if (!draft.parameters.empty()) draft.put(store::go_map_json(draft.parameters), "params");
  if (!request.messages.empty()) replace(store::go_json(request.messages), "messages");
  const auto put = [&](const char* key, const std::string& text) {
    if (!text.empty()) draft.config[key] = text;
  };
  put("renderer", request.renderer);
  put("parser", request.parser);
  put("requires", request.requires_version);
}

// Everything that can be said before the first status line, as a proper status code.
store::ModelName check(const api::CreateRequest& request) {
  const auto name = store::ModelName::require(request.model);
  if (request.from.empty() && request.files.empty()) {
    fail(ErrorKind::kInvalidInput, "neither 'from' or 'files' was specified");
  }
  check_files(request.files);
  check_files(request.adapters);
  api::check_options(request.parameters);
  return name;
}

// A template is untrusted text: the worker parses it.
void check_template(Service& service, const std::string& text, const std::stop_token& stop) {
  if (text.empty()) return;
  try {
    run_job(service.models.spawner(), {.kind = "check_template", .arguments = {{"template", text}}},
            stop);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kInvalidInput) throw;
    fail(ErrorKind::kInvalidInput, "template error: {}", e.what());
  }
}

void create(Draft& draft, const store::ModelName& name) {
  if (!draft.request.from.empty())
    inherit(draft);
  else
    add_files(draft);
  add_adapters(draft);
  add_texts(draft);
  store::Manifest manifest = {
      .config = draft.store().write_blob(store::config_text(draft.config), "config")};
  manifest.layers = draft.layers;
  for (const store::Layer& layer : manifest.layers)
    draft.status(
        fmt::format("{} layer {}",
                    draft.created.contains(layer.digest.text()) ? "creating new" : "using existing",
                    layer.digest.text()));
  draft.status("writing manifest");
  const auto old = draft.store().find(name);
  draft.store().write_manifest(name, manifest);
  if (!draft.service.prune) return;
  if (old) draft.store().remove_unused(old->manifest.blobs());
  draft.store().remove_unused(draft.sources);
}

}  // namespace

void make_model(Service& service, const store::ModelName& name, const api::CreateRequest& request,
                const std::string& from, const std::stop_token& stop,
                const std::function<void(const Json&)>& send) {
  Draft draft = {.service = service, .request = request, .send = send, .stop = stop, .from = from};
  create(draft, name);
}

void post_create(Service& service, http::Exchange& exchange, const std::string&) {
  const api::CreateRequest request = api::parse_create(api::parse_body(exchange.request().body));
  const auto name = check(request);
  check_template(service, request.template_text, exchange.gone());
  LineStream lines(exchange);
  const std::function<void(const Json&)> send = [&](const Json& line) {
    if (request.stream) lines.send(line);
  };
  make_model(service, name, request, "", exchange.gone(), send);
  if (request.stream)
    send({{"status", "success"}});
  else
    exchange.respond({.content_type = "application/json", .body = R"({"status":"success"})"});
}

}  // namespace cria::server
