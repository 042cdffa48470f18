// literal.h - Go literals: quoted strings, character constants, numbers.
#pragma once

#include "base/utf8.h"
#include "text/template/lexer.h"

#include <string>

namespace cria::text {

std::string unquote(const Token& token);  // "..." or `...`
int64_t character_constant(const Token& token);
struct Number {
  Value value;     // int or float64
  bool overflows;  // an unsigned one that no int holds: an error once it is used
};
Number number_constant(const Token& token);

}  // namespace cria::text
