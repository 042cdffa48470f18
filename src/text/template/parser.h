// parser.h - tokens to nodes. Throws Error{kInvalidInput} with line and column.
#pragma once

#include "text/template/node.h"

#include <string_view>

namespace cria::text {

ParsedTemplate parse_template(std::string_view source);

}  // namespace cria::text
