// lexer.h - a template's source as tokens, produced on demand so that a hostile source costs
// nothing beyond the first error.
#pragma once

#include "text/template/node.h"

#include <string_view>

namespace cria::text {

enum class TokenKind : uint8_t {
  kEnd,
  kText,
  kOpen,
  kClose,
  kSpace,
  kKeyword,
  kIdentifier,
  kBool,
  kNil,
  kDot,
  kField,
  kVariable,
  kNumber,
  kCharacter,
  kString,
  kRawString,
  kPipe,
  kAssign,
  kDeclare,
  kLeftParen,
  kRightParen,
  kChar,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string_view text;
  Position at;
};

[[noreturn]] void template_error(Position at, std::string_view message);

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}
  Token next();

 private:
  Token emit(TokenKind kind, size_t end);
  Position position(size_t offset);
  [[noreturn]] void error(size_t offset, std::string_view message);
  bool skip_comment();
  Token text();
  Token open();
  Token inside();
  Token word();
  Token field_or_variable(bool variable);
  Token number();
  Token quoted(char quote);
  Token raw_string();
  bool starts(size_t offset, std::string_view s) const {
    return source_.substr(offset).starts_with(s);
  }
  bool at_end_of_word(size_t offset) const;
  bool at_trimming_close(size_t offset) const;  // " -}}"

  std::string_view source_;
  size_t offset_ = 0;
  bool inside_ = false;
  bool trim_left_ = false;
  int parens_ = 0;
  size_t line_start_ = 0, scanned_ = 0;  // lines are counted up to scanned_
  int line_ = 1;
};

bool is_template_space(char c) noexcept;

}  // namespace cria::text
