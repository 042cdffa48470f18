// detect.h - the built-in prompt templates, and which of them a model's own Jinja template amounts
// to.
#pragma once

#include "base/json.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cria::text {

struct BuiltinTemplate {
  std::string name;  // "chatml"
  std::string text;  // Go template, for the template layer
  Json parameters;   // {"stop": [...]}, for the parameters layer
};

// Nullopt when no reference text is closer than 100 edits: then the model's chat template has no Go
// form, no template layer is written, and the prompt passes verbatim unless a Jinja engine is
// there.
std::optional<BuiltinTemplate> detect_template(std::string_view chat_template);

std::optional<BuiltinTemplate> builtin_template(std::string_view name);
std::vector<std::string> builtin_template_names();

// Edits (insert, delete, replace a code point) between two texts; `limit` when there are that many
// or more.
size_t edit_distance(std::u32string_view a, std::u32string_view b, size_t limit);

}  // namespace cria::text
