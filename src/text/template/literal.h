// literal.h - Go literals: quoted strings, character constants, numbers.
#pragma once

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
void append_utf8(std::string& out, char32_t c);  // U+FFFD for what is no character
// The character at `offset` of `s`, moving it; U+FFFD and one byte for invalid UTF-8.
char32_t next_utf8(std::string_view s, size_t& offset);

}  // namespace cria::text
