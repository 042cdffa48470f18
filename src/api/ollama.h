// ollama.h - the native API's requests, checked. Parsing throws Error with the texts that existing
// clients know; what comes out is well typed and within limits.
#pragma once

#include "api/duration.h"
#include "base/json.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cria::api {

// What /api/generate and /api/chat share.
struct Inference {
  std::string model;
  bool stream = true;
  Json format;                    // null, "json" or a schema
  Json options = Json::object();  // known names only, of their right type
  Json think;                     // null, bool, "low", "medium", "high", "max"
  std::optional<Nanoseconds> keep_alive;
  bool logprobs = false;
  int64_t top_logprobs = 0;
  bool truncate = true, shift = true;
  bool debug_render_only = false;
};

struct GenerateRequest : Inference {
  std::string prompt, suffix, system, template_text;
  bool raw = false;
  std::vector<int32_t> context;
  std::vector<std::string> images;  // decoded
};

struct ChatRequest : Inference {
  Json messages = Json::array();  // keys as the API spells them, images still base64
  Json tools = Json::array();
  bool forced_call =
      false;  // by other dialects: the answer is the one call that `format` describes
};

struct ShowRequest {
  std::string model, system;
  bool verbose = false;
  Json options = Json::object();
};

struct CreateRequest {
  std::string model, from, template_text, system, renderer, parser, requires_version, quantize;
  std::vector<std::pair<std::string, std::string>> files, adapters;  // relative path, digest
  std::vector<std::string> licenses;
  Json parameters = Json::object();
  Json messages = Json::array();
  bool stream = true;
};

GenerateRequest parse_generate(const Json& body);
ChatRequest parse_chat(const Json& body);
ShowRequest parse_show(const Json& body);
CreateRequest parse_create(const Json& body);
// "model", or "name" as older clients say.
std::string parse_model_name(std::string_view type, const Json& body);

// Drops unknown names, truncates numbers to integers; Error{kInvalidInput} for a wrong type, with
// the texts that clients know, though under 400 instead of Ollama's 500.
Json check_options(const Json& options);
// OpenAI's {"token id": bias}, which is also an option of ours. Throws Error{kInvalidInput}.
void check_logit_bias(const Json& value);
// `{role, content, ...}` objects of a request, of MESSAGE lines or of a create request.
Json check_messages(std::string_view type, const Json& messages);
// A tool as templates get to see it: `{type, function {name, description, parameters}}` with the
// keys of the schema that the API defines.
Json check_tool(std::string_view type, const Json& tool);

}  // namespace cria::api
