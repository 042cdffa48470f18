// utf8.h - code points from and to UTF-8, with the rules of Unicode's table 3-7: overlong forms,
// surrogates and what is beyond U+10FFFF are invalid.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cria {

// What a byte that belongs to no valid sequence decodes to.
constexpr uint32_t kInvalidCodePoint = 0x110000;

struct CodePoint {
  uint32_t value;   // kInvalidCodePoint for a byte that starts no valid sequence
  uint32_t length;  // bytes, at least 1
};

// Decodes the code point at text[at]; `at` < text.size().
CodePoint decode_multibyte(std::string_view text, size_t at);
inline CodePoint decode_utf8(std::string_view text, size_t at) {
  const auto byte = static_cast<uint8_t>(text[at]);
  if (byte < 0x80) return {byte, 1};
  return decode_multibyte(text, at);
}

// The character at `at`, which moves behind it; U+FFFD and one byte for what is invalid.
char32_t next_utf8(std::string_view text, size_t& at);

void append_utf8(std::string& out, uint32_t code_point);  // U+FFFD for what is no character

}  // namespace cria
