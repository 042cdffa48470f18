#include "text/template/lexer.h"

#include "base/error.h"
#include "text/template/format.h"
#include "text/template/literal.h"

namespace cria::text {

namespace {

constexpr std::string_view kOpenDelimiter = "{{", kCloseDelimiter = "}}";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Letters, digits and underscores of any script.
size_t end_of_name(std::string_view source, size_t at) {
  while (at < source.size()) {
    const char c = source[at];
    if (is_digit(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      ++at;
      continue;
    }
    size_t after = at;
    if (static_cast<unsigned char>(c) < 0x80 || !is_letter_or_digit(next_utf8(source, after)))
      break;
    at = after;
  }
  return at;
}

bool is_keyword(std::string_view word) {
  for (std::string_view k :
       {"block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"}) {
    if (word == k) return true;
  }
  return false;
}

}  // namespace

bool is_template_space(char c) noexcept {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void template_error(Position at, std::string_view message) {
  fail(ErrorKind::kInvalidInput, "template:{}:{}: {}", at.line, at.column, message);
}

Position Lexer::position(size_t offset) {
  for (; scanned_ < offset; ++scanned_) {
    if (source_[scanned_] == '\n') {
      ++line_;
      line_start_ = scanned_ + 1;
    }
  }
  return {line_, static_cast<int>(offset - line_start_) + 1};
}

void Lexer::error(size_t offset, std::string_view message) {
  template_error(position(offset), message);
}

Token Lexer::emit(TokenKind kind, size_t end) {
  Token t{kind, source_.substr(offset_, end - offset_), position(offset_)};
  offset_ = end;
  return t;
}

Token Lexer::next() {
  return inside_ ? inside() : text();
}

Token Lexer::text() {
  for (;;) {
    if (trim_left_) {
      while (offset_ < source_.size() && is_template_space(source_[offset_])) ++offset_;
      trim_left_ = false;
    }
    const size_t begin = offset_;
    const size_t open_at = source_.find(kOpenDelimiter, begin);
    if (open_at == std::string_view::npos) {
      return emit(begin < source_.size() ? TokenKind::kText : TokenKind::kEnd, source_.size());
    }
    size_t end = open_at;
    const bool trims = starts(open_at + 2, "-") && open_at + 3 < source_.size() &&
                       is_template_space(source_[open_at + 3]);
    if (trims) {
      while (end > begin && is_template_space(source_[end - 1])) --end;
    }
    if (end > begin) {
      Token t = emit(TokenKind::kText, end);
      offset_ = open_at;
      return t;
    }
    offset_ = open_at;
    if (!starts(open_at + (trims ? 4 : 2), "/*")) return open();
    skip_comment();
  }
}

// At the delimiter of an action whose content starts with a comment mark.
bool Lexer::skip_comment() {
  const size_t begin = offset_;
  const size_t mark = source_.find("/*", offset_);
  const size_t end = source_.find("*/", mark + 2);
  if (end == std::string_view::npos) error(begin, "unclosed comment");
  size_t after = end + 2;
  if (at_trimming_close(after)) {
    trim_left_ = true;
    after += 2;
  }
  if (!starts(after, kCloseDelimiter)) error(after, "comment ends before closing delimiter");
  offset_ = after + 2;
  return true;
}

Token Lexer::open() {
  Token t = emit(TokenKind::kOpen, offset_ + 2);
  // The trim marker's white space is skipped with it; what it trims was cut off the text before.
  if (starts(offset_, "-") && offset_ + 1 < source_.size() &&
      is_template_space(source_[offset_ + 1])) {
    offset_ += 2;
  }
  inside_ = true;
  parens_ = 0;
  return t;
}

bool Lexer::at_trimming_close(size_t offset) const {
  return offset + 1 < source_.size() && is_template_space(source_[offset]) &&
         source_[offset + 1] == '-' && starts(offset + 2, kCloseDelimiter);
}

bool Lexer::at_end_of_word(size_t offset) const {
  if (offset >= source_.size()) return true;
  const char c = source_[offset];
  return is_template_space(c) || c == '.' || c == ',' || c == '|' || c == ':' || c == ')' ||
         c == '(' || starts(offset, kCloseDelimiter);
}

Token Lexer::inside() {
  if (offset_ >= source_.size()) error(offset_, "unclosed action");
  const bool trims = at_trimming_close(offset_);
  if (trims || starts(offset_, kCloseDelimiter)) {
    if (parens_ > 0) error(offset_, "unclosed left parenthesis");
    if (trims) offset_ += 2;
    trim_left_ = trims;
    inside_ = false;
    return emit(TokenKind::kClose, offset_ + 2);
  }
  const char c = source_[offset_];
  if (is_template_space(c)) {
    size_t end = offset_;
    while (end < source_.size() && is_template_space(source_[end]) && !at_trimming_close(end))
      ++end;
    return emit(TokenKind::kSpace, end);
  }
  switch (c) {
    case '=':
      return emit(TokenKind::kAssign, offset_ + 1);
    case ':':
      if (!starts(offset_, ":=")) error(offset_, "expected :=");
      return emit(TokenKind::kDeclare, offset_ + 2);
    case '|':
      return emit(TokenKind::kPipe, offset_ + 1);
    case '"':
    case '\'':
      return quoted(c);
    case '`':
      return raw_string();
    case '$':
      return field_or_variable(true);
    case '(':
      ++parens_;
      return emit(TokenKind::kLeftParen, offset_ + 1);
    case ')':
      if (--parens_ < 0) error(offset_, "unexpected right parenthesis");
      return emit(TokenKind::kRightParen, offset_ + 1);
    default:
      break;
  }
  if (c == '.' && !(offset_ + 1 < source_.size() && is_digit(source_[offset_ + 1]))) {
    return field_or_variable(false);
  }
  if (c == '.' || c == '+' || c == '-' || is_digit(c)) return number();
  if (end_of_name(source_, offset_) > offset_) return word();
  if (c > 0x20 && c < 0x7f) return emit(TokenKind::kChar, offset_ + 1);
  error(offset_, "unrecognized character in action");
}

Token Lexer::word() {
  const size_t end = end_of_name(source_, offset_);
  if (!at_end_of_word(end)) error(end, fmt::format("bad character '{}'", source_[end]));
  const std::string_view w = source_.substr(offset_, end - offset_);
  if (is_keyword(w)) return emit(TokenKind::kKeyword, end);
  if (w == "true" || w == "false") return emit(TokenKind::kBool, end);
  if (w == "nil") return emit(TokenKind::kNil, end);
  return emit(TokenKind::kIdentifier, end);
}

Token Lexer::field_or_variable(bool variable) {
  size_t end = offset_ + 1;
  if (at_end_of_word(end)) {
    return emit(variable ? TokenKind::kVariable : TokenKind::kDot, end);
  }
  end = end_of_name(source_, end);
  if (!at_end_of_word(end)) error(end, fmt::format("bad character '{}'", source_[end]));
  return emit(variable ? TokenKind::kVariable : TokenKind::kField, end);
}

Token Lexer::number() {
  size_t end = offset_;
  if (source_[end] == '+' || source_[end] == '-') ++end;
  // Everything that could belong to a number; the parser decides whether it is one.
  while (end < source_.size()) {
    const char c = source_[end];
    const char before = source_[end - (end > offset_ ? 1 : 0)];
    const bool hex =
        source_.substr(offset_, end - offset_).find_first_of("xX") != std::string_view::npos;
    const bool exponent = hex ? (before == 'p' || before == 'P') : (before == 'e' || before == 'E');
    if (end_of_name(source_.substr(end, 1), 0) == 0 && c != '.' &&
        !((c == '+' || c == '-') && end > offset_ && exponent))
      break;
    ++end;
    if (end - offset_ > 400) error(offset_, "number is longer than 400 characters");
  }
  return emit(TokenKind::kNumber, end);
}

Token Lexer::quoted(char quote) {
  size_t end = offset_ + 1;
  for (; end < source_.size() && source_[end] != '\n'; ++end) {
    if (source_[end] == '\\') {
      ++end;
      if (end >= source_.size() || source_[end] == '\n') break;
      continue;
    }
    if (source_[end] == quote) {
      return emit(quote == '"' ? TokenKind::kString : TokenKind::kCharacter, end + 1);
    }
  }
  error(offset_, quote == '"' ? "unterminated quoted string" : "unterminated character constant");
}

Token Lexer::raw_string() {
  const size_t end = source_.find('`', offset_ + 1);
  if (end == std::string_view::npos) error(offset_, "unterminated raw quoted string");
  return emit(TokenKind::kRawString, end + 1);
}

}  // namespace cria::text
