// dialect.h - what requests of the OpenAI and Anthropic dialects have in common: their parsers end
// in the native request, so that behind them there is one kind of conversation.
#pragma once

#include "api/fields.h"
#include "api/ollama.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cria::api {

struct DialectChat : ChatRequest {
  bool single_call = false;  // only the first call of an answer counts
};

// Whether and what the model is to call.
struct ToolChoice {
  enum class Kind { kAuto, kNone, kAny, kNamed };
  Kind kind = Kind::kAuto;
  std::string name;                                 // kNamed
  std::optional<std::vector<std::string>> allowed;  // only these are offered; absent: all are
};

// What every request of them begins with: a model, which is required, `stream` (false), and of the
// native ones `keep_alive`, `truncate` and `shift`.
void parse_head(const Fields& fields, Inference& out);

// What both of OpenAI's dialects spell alike: absent, "auto", "none", "required". None for others.
std::optional<ToolChoice> plain_choice(const Json* value);

// OpenAI's choice among some of the tools: {mode, tools}, where `read_name` reads a tool as the
// dialect spells it. The other tools are not offered.
ToolChoice allowed_choice(std::string_view type, const Fields& given,
                          const std::function<std::string(const Fields& tool)>& read_name);

// Puts `tools`, in the native form but with whole schemas, into the request. A call that is asked
// for becomes a format: an object {name, arguments} of the tools that may be called. Throws
// Error{kInvalidInput} for tools without a name, a choice without tools or of an unknown one, and
// where a format is asked for besides.
void apply_tools(std::string_view type, const Json& tools, const ToolChoice& choice,
                 DialectChat& out);

// The base64 text of an image given as "data:image/png;base64,...", checked.
std::string image_of_url(std::string_view url);
// A level of effort as the native `think`; null for "". Throws Error{kInvalidInput} naming the
// levels.
Json think_of_effort(const std::string& effort);
// The object that a call's arguments spell; {} for "".
Json arguments_of_text(std::string_view text);

// Throws Error{kInvalidInput} for a field that cannot be honoured, unless its value asks for
// nothing (empty, 0, false). `instead` says what to do.
void refuse(const Fields& fields, std::string_view key, std::string_view instead);

// Options under the names of the dialects. Each is absent when the field is.
void copy_number(const Fields& fields, std::string_view key, Json& options);
void copy_length(const Fields& fields, std::string_view key, Json& options);  // to num_predict
void copy_context(const Fields& fields, Json& options);  // num_ctx, which no dialect has a name for
void copy_stop(const Fields& fields, std::string_view key,
               Json& options);  // a string, or a list, of which the strings count

// Appends a part of a message's text; parts are a blank line apart, as templates join messages.
void append_part(std::string& text, const std::string& part);

}  // namespace cria::api
