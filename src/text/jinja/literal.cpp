// literal.cpp - the escapes of string literals.
#include "base/error.h"
#include "text/jinja/lexer.h"
#include "text/tokenizer/unicode.h"

#include <algorithm>

namespace cria::jinja {

namespace {

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
}

// The number of at most `most` digits at text[at]; moves `at` behind them.
uint32_t code(std::string_view text, size_t& at, size_t most, int base) {
  uint32_t value = 0;
  for (; most > 0 && at < text.size() && digit_value(text[at]) < base; --most, ++at)
    value = value * static_cast<uint32_t>(base) + static_cast<uint32_t>(digit_value(text[at]));
  return value;
}

// \xHH, \uHHHH, \UHHHHHHHH: all the digits have to be there.
void hexadecimal(const Token& token, std::string_view text, size_t& at, std::string& out) {
  const char kind = text[at];
  const size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : 8;
  const size_t begin = ++at;
  const uint32_t value = code(text, at, digits, 16);
  if (at - begin < digits || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
    syntax_error(token.at, fmt::format("the escape \\{} has no valid code behind it", kind));
  append_utf8(out, value);
}

}  // namespace

std::string unescaped(const Token& token) {
  constexpr std::string_view kFrom = "\\'\"abfnrtv", kTo = "\\'\"\a\b\f\n\r\t\v";
  const std::string_view text = token.text.substr(1, token.text.size() - 2);
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    if (text[at] != '\\' || at + 1 == text.size()) {
      out += text[at++];
      continue;
    }
    const char c = text[++at];
    const size_t known = kFrom.find(c);
    if (c == '\n') {
      ++at;
    } else if (known != std::string_view::npos) {
      out += kTo[known];
      ++at;
    } else if (c == 'x' || c == 'u' || c == 'U') {
      hexadecimal(token, text, at, out);
    } else if (c >= '0' && c <= '7') {
      append_utf8(out, code(text, at, 3, 8));
    } else {
      out += '\\';
    }
  }
  return out;
}

}  // namespace cria::jinja
