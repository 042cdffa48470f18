// charsmap.h - SentencePiece's precompiled normalisation: a double-array trie from byte strings to
// their replacements.
//
// The bytes come from a model file: every access is checked, and a table that is cut short or leads
// nowhere just replaces less.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cria::text {

class Charsmap {
 public:
  // Layout: u32 size of the array in bytes (little-endian), the array of u32, then the
  // replacements, each ended by a zero byte. Throws Error{kInvalidInput} when the size does not
  // fit. Empty: replaces nothing.
  explicit Charsmap(std::string_view blob);

  struct Match {
    size_t length = 0;  // bytes of the text; 0 when nothing is replaced
    std::string_view replacement;
  };
  // The longest key at text[at].
  Match longest(std::string_view text, size_t at) const;

 private:
  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace cria::text
