// answer_format.h - what --format of `run` means.
#pragma once

#include "base/json.h"

#include <string>

namespace cria::cli {

// The `format` of a request (docs/formats.md): "json", a schema or a grammar as JSON,
// "regex:PATTERN", or the path of a file NAME.json (a schema) or NAME.gbnf (a grammar). Throws
// Error{kInvalidInput} with these choices, and what reading a file throws.
Json answer_format(const std::string& text);

}  // namespace cria::cli
