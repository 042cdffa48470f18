// parser.h - from Jinja's source to its nodes.
#pragma once

#include "text/jinja/node.h"

#include <memory>
#include <string_view>

namespace cria::jinja {

// Throws Error{kInvalidInput} with line and column. Unknown filters and tests are errors only once
// they run.
std::unique_ptr<Program> parse(std::string_view source);

}  // namespace cria::jinja
