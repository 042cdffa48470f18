// format_float.cpp - Go's strconv.FormatFloat.
#include "text/template/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace cria::text {

namespace {

std::string shortest(double d, char verb) {
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, d, std::chars_format::scientific).ptr;
  std::string s(buffer, end);
  const size_t e = s.find('e');
  if (e == std::string::npos) return s;  // inf, nan
  const int exponent = std::atoi(s.c_str() + e + 1);
  // An exponent from 1e+06 on, and below 1e-04.
  if (exponent >= -4 && exponent < 6) {
    const auto fixed =
        std::to_chars(buffer, buffer + sizeof buffer, d, std::chars_format::fixed).ptr;
    return {buffer, fixed};
  }
  if (verb == 'G') s[e] = 'E';
  return s;
}

std::string by_c(double d, char verb, int precision) {
  const char form[] = {'%', '.', '*', verb, '\0'};
  std::string text(static_cast<size_t>(std::max(precision, 0)) + 400, '\0');
  const int n = std::snprintf(text.data(), text.size(), form, precision, d);
  text.resize(static_cast<size_t>(std::max(n, 0)));
  return text;
}

// C's, but rounding never leaves a 2 before the point, and the exponent has two digits.
std::string hex(double d, char verb, int precision) {
  std::string text = by_c(d, verb == 'X' ? 'A' : 'a', precision);
  const size_t p = text.find_first_of("pP");
  if (p == std::string::npos) return text;
  int exponent = std::atoi(text.c_str() + p + 1);
  if (char& first = text[text.find_first_of("xX") + 1]; first == '2') {
    first = '1';
    ++exponent;
  }
  return fmt::format("{}{}{:02}", text.substr(0, p + 1), exponent < 0 ? '-' : '+',
                     std::abs(exponent));
}

// The mantissa as an integer and a power of two: 4503599627370496p-52.
std::string binary(double d) {
  const auto bits = std::bit_cast<uint64_t>(d);
  const auto biased = static_cast<int>((bits >> 52) & 0x7ff);
  uint64_t mantissa = bits & ((uint64_t{1} << 52) - 1);
  if (biased != 0) mantissa |= uint64_t{1} << 52;
  return fmt::format("{}{}p{:+}", std::signbit(d) ? "-" : "", mantissa, std::max(biased, 1) - 1075);
}

}  // namespace

std::string format_float(double d, char verb, int precision) {
  switch (verb) {
    case 'b':
      return binary(d);
    case 'x':
    case 'X':
      return hex(d, verb, precision);
    default:
      return precision < 0 ? shortest(d, verb) : by_c(d, verb, precision);
  }
}

}  // namespace cria::text
