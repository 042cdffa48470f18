// unicode.h - UTF-8 decoding and the code-point classes that pre-tokenizers ask for.
//
// The classes are Unicode 14.0 (tools/golden/make_unicode_tables.py), so that splitting does not
// change with the libraries of a machine.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cria::text {

// One bit per group of general categories; a code point has at most one of them.
enum CodePointClass : uint8_t {
  kUpper = 1,        // Lu, Lt
  kLower = 2,        // Ll
  kOtherLetter = 4,  // Lm, Lo
  kMark = 8,
  kNumber = 16,
  kPunctuation = 32,
  kSymbol = 64,
  kSpace = 128,  // the property White_Space
  kLetter = kUpper | kLower | kOtherLetter,
};

// What a byte that belongs to no valid sequence decodes to; its class is that of U+FFFD.
constexpr uint32_t kInvalidCodePoint = 0x110000;

class UnicodeTable {
 public:
  static const UnicodeTable& get();
  uint8_t operator[](uint32_t code_point) const {
    return blocks_[pages_[code_point >> 8]][code_point & 255];
  }

 private:
  UnicodeTable();
  std::array<uint16_t, (kInvalidCodePoint >> 8) + 1> pages_;
  std::vector<std::array<uint8_t, 256>> blocks_;
};

struct CodePoint {
  uint32_t value;   // kInvalidCodePoint for a byte that starts no valid sequence
  uint32_t length;  // bytes, at least 1
};

// Decodes the code point at text[at]; `at` < text.size(). Overlong forms and surrogates are
// invalid.
CodePoint decode_multibyte(std::string_view text, size_t at);
inline CodePoint decode_utf8(std::string_view text, size_t at) {
  const auto byte = static_cast<uint8_t>(text[at]);
  if (byte < 0x80) return {byte, 1};
  return decode_multibyte(text, at);
}

void append_utf8(std::string& out, uint32_t code_point);

}  // namespace cria::text
