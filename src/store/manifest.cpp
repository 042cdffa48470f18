#include "store/manifest.h"

#include "base/error.h"

namespace cria::store {
namespace {

constexpr size_t kMaxLayers = 100'000;

Layer parse_layer(const Json& json) {
  if (!json.is_object()) fail(ErrorKind::kInvalidInput, "a layer is not an object");
  const int64_t size = json_integer(json, "size").value_or(-1);
  if (size < 0) fail(ErrorKind::kInvalidInput, "a layer's size is missing or negative");
  return {.media_type = json_string(json, "mediaType").value_or(""),
          .digest = Digest::require(json_string(json, "digest").value_or("")),
          .size = size,
          .from = json_string(json, "from").value_or(""),
          .name = json_string(json, "name").value_or("")};
}

Json to_json(const Layer& layer) {
  Json json = {
      {"mediaType", layer.media_type}, {"digest", layer.digest.text()}, {"size", layer.size}};
  if (!layer.from.empty()) json["from"] = layer.from;
  if (!layer.name.empty()) json["name"] = layer.name;
  return json;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

}  // namespace

std::string_view Layer::kind() const {
  const std::string_view type = media_type;
  return type.starts_with(kLayerPrefix) ? type.substr(kLayerPrefix.size()) : std::string_view{};
}

Manifest Manifest::parse(std::string_view text) {
  const Json json = parse_json(text, {.max_bytes = size_t{16} << 20, .max_depth = 16});
  const Json* config = json_find(json, "config");
  const Json* list = json_find(json, "layers");
  if (config == nullptr || list == nullptr || !list->is_array())
    fail(ErrorKind::kInvalidInput, "the manifest has no config or no list of layers");
  if (list->size() > kMaxLayers)
    fail(ErrorKind::kTooLarge, "the manifest has {} layers, the limit is {}", list->size(),
         kMaxLayers);
  Manifest manifest = {.config = parse_layer(*config), .layers = {}};
  int64_t total = manifest.config.size;
  for (const Json& layer : *list) {
    manifest.layers.push_back(parse_layer(layer));
    if (__builtin_add_overflow(total, manifest.layers.back().size, &total))
      fail(ErrorKind::kInvalidInput, "the sizes of the layers overflow");
  }
  return manifest;
}

std::string Manifest::text() const {
  Json list = Json::array();
  for (const Layer& layer : layers) list.push_back(to_json(layer));
  Json json = Json::object();
  json["schemaVersion"] = 2;
  json["mediaType"] = kManifestType;
  json["config"] = to_json(config);
  json["layers"] = std::move(list);
  return go_json(json);
}

int64_t Manifest::total_size() const {
  int64_t total = config.size;
  for (const Layer& layer : layers) total += layer.size;
  return total;
}

std::vector<Layer> Manifest::blobs() const {
  std::vector<Layer> all = layers;
  all.push_back(config);
  return all;
}

const Layer* Manifest::find(std::string_view kind) const {
  const Layer* found = nullptr;
  for (const Layer& layer : layers)
    if (layer.kind() == kind) found = &layer;
  return found;
}

std::string go_json(const Json& value) {
  std::string text = dump_json(value);
  replace_all(text, "<", "\\u003c");  // these occur only inside strings
  replace_all(text, ">", "\\u003e");
  replace_all(text, "&", "\\u0026");
  replace_all(text, "\xe2\x80\xa8", "\\u2028");
  replace_all(text, "\xe2\x80\xa9", "\\u2029");
  return text + "\n";
}

}  // namespace cria::store
