// manifest.h - the manifests of the store, in Ollama's layout.
#pragma once

#include "base/json.h"
#include "store/name.h"

#include <string>
#include <string_view>
#include <vector>

namespace cria::store {

// Media types of layers are this prefix and "model", "template", "params", ...
inline constexpr std::string_view kLayerPrefix = "application/vnd.ollama.image.";
inline constexpr std::string_view kConfigType = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view kManifestType =
    "application/vnd.docker.distribution.manifest.v2+json";

struct Layer {
  std::string media_type;
  Digest digest;
  int64_t size = 0;
  std::string from, name;  // often empty
  // "template" of ".../vnd.ollama.image.template"; empty for another prefix.
  std::string_view kind() const;
};

struct Manifest {
  Layer config;
  std::vector<Layer> layers;

  // Throws Error{kInvalidInput} naming what is wrong: the text is untrusted.
  static Manifest parse(std::string_view text);
  std::string text() const;  // compact, one newline at the end
  int64_t total_size() const;
  std::vector<Layer> blobs() const;                // the layers, then the config
  const Layer* find(std::string_view kind) const;  // the last of that kind, or null
};

// JSON as Go writes it: '<', '>', '&' and two separators escaped, a newline at the end.
std::string go_json(const Json& value);

}  // namespace cria::store
