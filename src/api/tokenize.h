// tokenize.h - requests for the tokens of a text and the text of tokens, checked. Our extension:
// the names are those of llama-server, and of what was proposed for Ollama ("prompt", "text").
#pragma once

#include "api/duration.h"
#include "base/json.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cria::api {

struct TokenizeRequest {
  std::string model, content;
  bool add_special = false;   // what the vocabulary puts around a text
  bool parse_special = true;  // "<|im_end|>" in the text is the token of that name
  bool with_pieces = false;
  std::optional<Nanoseconds> keep_alive;
};

struct DetokenizeRequest {
  std::string model;
  std::vector<int32_t> tokens;
  std::optional<Nanoseconds> keep_alive;
};

// Throw Error{kInvalidInput}.
TokenizeRequest parse_tokenize(const Json& body);
DetokenizeRequest parse_detokenize(const Json& body);

}  // namespace cria::api
