// embed.h - requests for embeddings in their three dialects, checked. Parsing throws Error with the
// texts that existing clients know.
#pragma once

#include "api/duration.h"
#include "base/json.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cria::api {

struct EmbedRequest {
  std::string model;
  std::vector<std::string> inputs;  // none: only load the model
  bool truncate = true;
  int64_t dimensions = 0;  // 0: all
  bool base64 = false;     // vectors as base64 of little-endian floats
  Json options = Json::object();
  std::optional<Nanoseconds> keep_alive;
};

EmbedRequest parse_embed(const Json& body);          // /api/embed
EmbedRequest parse_embeddings(const Json& body);     // /api/embeddings
EmbedRequest parse_v1_embeddings(const Json& body);  // /v1/embeddings

}  // namespace cria::api
