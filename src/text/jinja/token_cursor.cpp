#include "text/jinja/token_cursor.h"

#include "base/error.h"

#include <algorithm>

namespace cria::jinja {

const Token& TokenCursor::peek(size_t ahead) const {
  return tokens_[std::min(index_ + ahead, tokens_.size() - 1)];
}

Token TokenCursor::next() {
  const Token token = peek();
  if (index_ + 1 < tokens_.size()) ++index_;
  return token;
}

bool TokenCursor::at_operator(std::string_view text) const {
  return peek().kind == TokenKind::kOperator && peek().text == text;
}

bool TokenCursor::at_name(std::string_view text) const {
  return peek().kind == TokenKind::kName && peek().text == text;
}

bool TokenCursor::take_operator(std::string_view text) {
  if (!at_operator(text)) return false;
  next();
  return true;
}

bool TokenCursor::take_name(std::string_view text) {
  if (!at_name(text)) return false;
  next();
  return true;
}

void TokenCursor::unexpected(std::string_view wanted) const {
  const Token& token = peek();
  const bool shown = token.kind != TokenKind::kEnd && token.kind != TokenKind::kData;
  syntax_error(token.at, fmt::format("expected {}, found {}", wanted,
                                     shown ? fmt::format("\"{}\"", token.text)
                                           : std::string("the end of the tag or template")));
}

void TokenCursor::expect_operator(std::string_view text) {
  if (!take_operator(text)) unexpected(fmt::format("\"{}\"", text));
}

void TokenCursor::expect_name(std::string_view text) {
  if (!take_name(text)) unexpected(fmt::format("\"{}\"", text));
}

std::string_view TokenCursor::expect_identifier() {
  if (peek().kind != TokenKind::kName) unexpected("a name");
  return next().text;
}

}  // namespace cria::jinja
