#include "text/jinja/lexer.h"

#include "base/error.h"
#include "text/jinja/strings.h"

#include <algorithm>
#include <array>

namespace cria::jinja {

namespace {

bool digit(char c) {
  return c >= '0' && c <= '9';
}

bool hex_digit(char c) {
  return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool starts_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0;
}

bool blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> run() {
    while (offset_ < source_.size()) {
      const size_t tag = next_tag();
      if (tag == std::string_view::npos) {
        put_data(offset_, source_.size());
        offset_ = source_.size();
        break;
      }
      text_before(tag);
    }
    put(TokenKind::kEnd, offset_, offset_);
    return std::move(tokens_);
  }

 private:
  bool starts(size_t offset, std::string_view s) const {
    return source_.substr(std::min(offset, source_.size())).starts_with(s);
  }

  char at(size_t offset) const { return offset < source_.size() ? source_[offset] : '\0'; }

  Position position(size_t offset) {
    for (; counted_ < offset; ++counted_) {
      if (source_[counted_] != '\n') continue;
      ++line_;
      line_start_ = counted_ + 1;
    }
    return {line_, static_cast<int>(offset - line_start_) + 1};
  }

  void put(TokenKind kind, size_t begin, size_t end) {
    tokens_.push_back({kind, source_.substr(begin, end - begin), position(begin)});
  }

  void put_data(size_t begin, size_t end) {
    if (begin < end) put(TokenKind::kData, begin, end);
  }

  size_t next_tag() const {
    for (size_t at = source_.find('{', offset_); at != std::string_view::npos;
         at = source_.find('{', at + 1)) {
      const char c = this->at(at + 1);
      if (c == '{' || c == '%' || c == '#') return at;
    }
    return std::string_view::npos;
  }

  // Where the text [begin, tag) ends when the sign of the tag behind it and lstrip_blocks have had
  // their way.
  size_t trimmed_end(size_t begin, size_t tag, char sign, bool is_output) const {
    const std::string_view text = source_.substr(begin, tag - begin);
    if (sign == '-') return begin + right_stripped(text).size();
    if (sign == '+' || is_output) return tag;
    const size_t newline = text.rfind('\n');
    const bool line_starts = begin == 0 || source_[begin - 1] == '\n';
    if (newline == std::string_view::npos && !line_starts) return tag;
    const size_t line = newline == std::string_view::npos ? 0 : newline + 1;
    return right_stripped(text.substr(line)).empty() ? begin + line : tag;
  }

  void text_before(size_t tag) {
    const char kind = at(tag + 1);
    size_t inside = tag + 2;
    const char sign = at(inside) == '-' || at(inside) == '+' ? at(inside) : '\0';
    if (sign != '\0') ++inside;
    put_data(offset_, trimmed_end(offset_, tag, sign, kind == '{'));
    offset_ = inside;
    if (kind == '#') return comment(tag);
    if (kind == '%' && raw_block()) return;
    put(kind == '{' ? TokenKind::kOutputBegin : TokenKind::kBlockBegin, tag, inside);
    while (!tag_ends(kind == '{')) token();
  }

  // At the closing "#}" or "%}" behind `offset`, perhaps with a sign: goes past it and what it
  // trims.
  void pass_end(size_t close, size_t earliest) {
    const char sign = close > earliest ? source_[close - 1] : '\0';
    offset_ = close + 2;
    if (sign == '-')
      offset_ = source_.size() - left_stripped(source_.substr(offset_)).size();
    else if (sign != '+' && at(offset_) == '\n')
      ++offset_;
  }

  void comment(size_t tag) {
    const size_t close = source_.find("#}", offset_);
    if (close == std::string_view::npos) syntax_error(position(tag), "the comment has no end");
    pass_end(close, offset_);
  }

  size_t skip_blank(size_t offset) const {
    while (offset < source_.size() && blank(source_[offset])) ++offset;
    return offset;
  }

  // Offset behind `word` and the blanks around it, npos when something else stands there.
  size_t after_word(size_t offset, std::string_view word) const {
    offset = skip_blank(offset);
    if (!starts(offset, word)) return std::string_view::npos;
    return skip_blank(offset + word.size());
  }

  bool raw_block() {
    const size_t open = offset_;
    size_t begin = after_word(open, "raw");
    if (begin == std::string_view::npos) return false;
    if (starts(begin, "-%}"))
      begin = source_.size() - left_stripped(source_.substr(begin + 3)).size();
    else if (starts(begin, "%}"))
      begin += 2;
    else
      return false;
    for (size_t tag = source_.find("{%", begin); tag != std::string_view::npos;
         tag = source_.find("{%", tag + 1)) {
      const char sign = at(tag + 2);
      const bool has_sign = sign == '-' || sign == '+';
      const size_t end = after_word(tag + (has_sign ? 3 : 2), "endraw");
      if (end == std::string_view::npos) continue;
      const size_t close = end + (at(end) == '-' || at(end) == '+' ? 1 : 0);
      if (!starts(close, "%}")) continue;
      put_data(begin, trimmed_end(begin, tag, has_sign ? sign : '\0', false));
      pass_end(close, end);
      return true;
    }
    syntax_error(position(open), "the raw block has no endraw");
  }

  bool tag_ends(bool is_output) {
    offset_ = skip_blank(offset_);
    if (offset_ >= source_.size()) syntax_error(position(offset_), "the tag has no end");
    if (!brackets_.empty()) return false;
    const std::string_view end = is_output ? "}}" : "%}";
    const size_t begin = offset_;
    const char sign = at(begin);
    const bool has_sign = sign == '-' || (sign == '+' && !is_output);
    const size_t close = begin + (has_sign ? 1 : 0);
    if (!starts(close, end)) return false;
    put(is_output ? TokenKind::kOutputEnd : TokenKind::kBlockEnd, begin, close + 2);
    if (is_output)
      offset_ =
          has_sign ? source_.size() - left_stripped(source_.substr(close + 2)).size() : close + 2;
    else
      pass_end(close, begin);
    return true;
  }

  void token() {
    const char c = at(offset_);
    if (starts_name(c))
      name();
    else if (digit(c))
      number();
    else if (c == '"' || c == '\'')
      string(c);
    else
      sign();
  }

  void name() {
    size_t end = offset_;
    while (end < source_.size() && (starts_name(source_[end]) || digit(source_[end]))) ++end;
    finish(TokenKind::kName, end);
  }

  void finish(TokenKind kind, size_t end) {
    put(kind, offset_, end);
    offset_ = end;
  }

  size_t digits(size_t offset, bool (*is_digit)(char)) const {
    while (is_digit(at(offset)) || (at(offset) == '_' && offset > 0 && is_digit(at(offset - 1)) &&
                                    is_digit(at(offset + 1))))
      ++offset;
    return offset;
  }

  void number() {
    const char base = at(offset_ + 1);
    if (at(offset_) == '0' && (base == 'x' || base == 'o' || base == 'b') &&
        hex_digit(at(offset_ + 2)))
      return finish(TokenKind::kInteger, digits(offset_ + 2, hex_digit));
    size_t end = digits(offset_, digit);
    const bool after_dot = offset_ > 0 && source_[offset_ - 1] == '.';  // x.0.1
    bool is_float = false;
    if (!after_dot && at(end) == '.' && digit(at(end + 1))) {
      end = digits(end + 1, digit);
      is_float = true;
    }
    if (!after_dot && (at(end) == 'e' || at(end) == 'E')) {
      const size_t exponent = end + (at(end + 1) == '+' || at(end + 1) == '-' ? 2 : 1);
      if (digit(at(exponent))) {
        end = digits(exponent, digit);
        is_float = true;
      }
    }
    finish(is_float ? TokenKind::kFloat : TokenKind::kInteger, end);
  }

  void string(char quote) {
    size_t end = offset_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) syntax_error(position(offset_), "the string has no end");
    finish(TokenKind::kString, end + 1);
  }

  void sign() {
    constexpr std::array<std::string_view, 6> kDouble = {"**", "//", "==", "!=", ">=", "<="};
    constexpr std::string_view kSingle = "+-*/%~[](){}=<>.:|,";
    for (const std::string_view s : kDouble)
      if (starts(offset_, s)) return finish(TokenKind::kOperator, offset_ + 2);
    const char c = at(offset_);
    if (kSingle.find(c) == std::string_view::npos)
      syntax_error(position(offset_),
                   fmt::format("unexpected character {:?}", source_.substr(offset_, 1)));
    bracket(c);
    finish(TokenKind::kOperator, offset_ + 1);
  }

  void bracket(char c) {
    if (c == '(' || c == '[' || c == '{') {
      brackets_ += c;
    } else if (c == ')' || c == ']' || c == '}') {
      const char open = c == ')' ? '(' : c == ']' ? '[' : '{';
      if (brackets_.empty() || brackets_.back() != open)
        syntax_error(position(offset_), fmt::format("unexpected \"{}\"", c));
      brackets_.pop_back();
    }
  }

  std::string_view source_;
  size_t offset_ = 0;
  std::string brackets_;
  std::vector<Token> tokens_;
  size_t counted_ = 0, line_start_ = 0;
  int line_ = 1;
};

}  // namespace

void syntax_error(Position at, std::string_view message) {
  fail(ErrorKind::kInvalidInput, "jinja:{}:{}: {}", at.line, at.column, message);
}

std::string normalized(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    const bool carriage = source[i] == '\r';
    if (carriage && i + 1 < source.size() && source[i + 1] == '\n') ++i;
    out += carriage ? '\n' : source[i];
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace cria::jinja
