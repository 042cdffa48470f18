// unicode.h - the code-point classes that pre-tokenizers ask for.
//
// The classes are Unicode 14.0 (tools/golden/make_unicode_tables.py), so that splitting does not
// change with the libraries of a machine.
#pragma once

#include "base/utf8.h"

#include <array>
#include <cstdint>
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

class UnicodeTable {
 public:
  static const UnicodeTable& get();
  uint8_t operator[](uint32_t code_point) const {
    return blocks_[pages_[code_point >> 8]][code_point & 255];
  }

 private:
  UnicodeTable();
  // kInvalidCodePoint has the class of U+FFFD.
  std::array<uint16_t, (kInvalidCodePoint >> 8) + 1> pages_;
  std::vector<std::array<uint8_t, 256>> blocks_;
};

}  // namespace cria::text
