#include "text/template/literal.h"

#include "base/error.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>

namespace cria::text {

namespace {

std::optional<uint32_t> digits_of(std::string_view s, int base) {
  uint32_t v = 0;
  auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), v, base);
  if (ec != std::errc() || end != s.data() + s.size() || s.empty()) return std::nullopt;
  return v;
}

struct Escaped {
  uint32_t value;
  bool byte;  // \x and octal escapes are bytes, the others characters
};

// `i` stands after the backslash and is moved past the escape.
Escaped read_escape(const Token& token, std::string_view s, size_t& i, char quote) {
  const char c = i < s.size() ? s[i++] : '\0';
  switch (c) {
    case 'a':
      return {7, false};
    case 'b':
      return {8, false};
    case 'f':
      return {12, false};
    case 'n':
      return {10, false};
    case 'r':
      return {13, false};
    case 't':
      return {9, false};
    case 'v':
      return {11, false};
    case '\\':
      return {'\\', false};
    default:
      break;
  }
  if (c == quote && c != '\0') return {static_cast<unsigned char>(c), false};
  size_t count = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  const int base = count ? 16 : 8;
  if (c >= '0' && c <= '7') {
    --i;
    count = 3;
  }
  if (count == 0 || i + count > s.size()) template_error(token.at, "invalid escape in a string");
  const auto v = digits_of(s.substr(i, count), base);
  const bool byte = count < 4;
  if (!v || (byte ? *v > 255 : *v > 0x10ffff || (*v >= 0xd800 && *v < 0xe000))) {
    template_error(token.at, "invalid escape in a string");
  }
  i += count;
  return {*v, byte};
}

[[noreturn]] void bad_number(const Token& token) {
  template_error(token.at, fmt::format("bad number syntax: \"{}\"", token.text));
}

// A number beyond 64 signed bits is refused only when it is used, if it fits unsigned ones.
Number integer_constant(const Token& token, std::string_view digits, int base, bool negative) {
  uint64_t v = 0;
  auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), v, base);
  if (end != digits.data() + digits.size() || ec == std::errc::invalid_argument) bad_number(token);
  const uint64_t limit = uint64_t{1} << 63;
  const bool fits = v < limit || (v == limit && negative);
  const bool is_unsigned = !token.text.starts_with('-') && !token.text.starts_with('+');
  if (ec == std::errc::result_out_of_range || (!fits && !is_unsigned)) {
    template_error(token.at, fmt::format("integer overflow: {}", token.text));
  }
  return {Value::integer(static_cast<int64_t>(negative ? ~v + 1 : v)), !fits};
}

// Underscores may stand between digits, and after a base prefix.
std::string without_underscores(const Token& token, std::string_view s) {
  const bool prefixed =
      s.size() > 1 && s[0] == '0' && std::isalpha(static_cast<unsigned char>(s[1]));
  const bool hex = prefixed && (s[1] | 0x20) == 'x';
  std::string out(s.substr(0, prefixed ? 2 : 0));
  char previous = prefixed ? '0' : ' ';
  for (const char c : s.substr(out.size())) {
    const bool digit =
        hex ? std::isxdigit(static_cast<unsigned char>(c)) != 0 : c >= '0' && c <= '9';
    if (c == '_' ? previous != '0' : previous == '_' && !digit) bad_number(token);
    if (c != '_') out += c;
    previous = c == '_' ? '_' : digit ? '0' : ' ';
  }
  if (previous == '_') bad_number(token);
  return out;
}

// Where a decimal number's first digit other than 0 stands, as a power of ten.
int64_t magnitude(std::string_view s) {
  const size_t e = std::min(s.find_first_of("eE"), s.size());
  int64_t exponent = 0;
  if (e < s.size()) {
    const size_t digits = e + (s[e + 1] == '+' ? 2 : 1);
    const auto [end, ec] = std::from_chars(s.data() + digits, s.data() + s.size(), exponent);
    if (ec == std::errc::result_out_of_range) return s[digits] == '-' ? -1 : 1;
  }
  const std::string_view mantissa = s.substr(0, e);
  const auto point = static_cast<int64_t>(std::min(mantissa.find('.'), mantissa.size()));
  const size_t first = mantissa.find_first_of("123456789");
  return first == std::string_view::npos ? 0 : point - static_cast<int64_t>(first) + exponent;
}

Value float_constant(const Token& token, std::string_view s, bool hex, bool negative) {
  if (hex && s.find_first_of("pP") == std::string_view::npos) bad_number(token);
  double d = 0;
  auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), d,
                                   hex ? std::chars_format::hex : std::chars_format::general);
  if (end != s.data() + s.size() || ec == std::errc::invalid_argument) bad_number(token);
  // Too small a number is 0, too large a one an error.
  if (ec == std::errc::result_out_of_range) {
    if (hex || magnitude(s) > 0) bad_number(token);
    d = 0;
  }
  return Value::number(negative ? -d : d);
}

}  // namespace

std::string unquote(const Token& token) {
  const std::string_view s = token.text.substr(1, token.text.size() - 2);
  std::string out;
  if (token.kind == TokenKind::kRawString) {
    for (char c : s) {
      if (c != '\r') out += c;
    }
    return out;
  }
  for (size_t i = 0; i < s.size();) {
    if (s[i] != '\\') {
      append_utf8(out, next_utf8(s, i));  // what is not UTF-8 becomes U+FFFD
      continue;
    }
    ++i;
    const Escaped e = read_escape(token, s, i, '"');
    if (e.byte) {
      out += static_cast<char>(e.value);
    } else {
      append_utf8(out, e.value);
    }
  }
  return out;
}

int64_t character_constant(const Token& token) {
  const std::string_view s = token.text.substr(1, token.text.size() - 2);
  size_t i = 0;
  int64_t c = 0;
  if (s.starts_with('\\')) {
    ++i;
    c = read_escape(token, s, i, '\'').value;
  } else if (!s.empty()) {
    c = static_cast<int64_t>(next_utf8(s, i));
  }
  if (s.empty() || i != s.size()) template_error(token.at, "malformed character constant");
  return c;
}

Number number_constant(const Token& token) {
  std::string_view s = token.text;
  const bool negative = s.starts_with('-');
  if (s.starts_with('+') || negative) s.remove_prefix(1);
  const std::string clean = without_underscores(token, s);
  s = clean;
  const char prefix = s.size() > 1 && s[0] == '0' ? static_cast<char>(s[1] | 0x20) : ' ';
  const bool hex = prefix == 'x';
  if (s.find_first_of(hex ? ".pP" : ".eEpP") != std::string_view::npos)
    return {float_constant(token, hex ? s.substr(2) : s, hex, negative), false};
  if (hex || prefix == 'o' || prefix == 'b')
    return integer_constant(token, s.substr(2), hex ? 16 : prefix == 'o' ? 8 : 2, negative);
  return integer_constant(token, s, s.size() > 1 && s[0] == '0' ? 8 : 10, negative);
}

}  // namespace cria::text
