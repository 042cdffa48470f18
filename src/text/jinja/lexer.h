// lexer.h - a Jinja source as tokens. White space around tags is settled here: trim_blocks,
// lstrip_blocks, "-" and "+".
#pragma once

#include "text/jinja/value.h"

#include <string>
#include <string_view>
#include <vector>

namespace cria::jinja {

enum class TokenKind : uint8_t {
  kEnd,
  kData,
  kBlockBegin,
  kBlockEnd,
  kOutputBegin,
  kOutputEnd,
  kName,
  kInteger,
  kFloat,
  kString,  // with its quotes
  kOperator,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string_view text;
  Position at;
};

[[noreturn]] void syntax_error(Position at, std::string_view message);

// All line ends as "\n", and without the one at the end: what the tokens of a source point into.
std::string normalized(std::string_view source);

// What a string token means: its escapes are Python's.
std::string unescaped(const Token& string);

// Of a normalized source. The last token is kEnd.
std::vector<Token> tokenize(std::string_view source);

}  // namespace cria::jinja
