// plain_tokens.h - the tokens of a vocabulary that are characters as they stand inside a JSON
// string, and what is left of its trie without them.
//
// Inside a string nine of ten tokens are such text. A state that goes on alike after each of these
// characters allows all of them, however many there are, so that its mask needs no walk but of the
// rest: tokens with a quote, an escape, a control character or a part of a character.
#pragma once

#include "text/tokenizer/tokenizer.h"

#include <array>
#include <cstdint>
#include <vector>

namespace cria::grammar {

class TokenTrie;

// Where a text stands between the characters of UTF-8 (Unicode's table 3-7).
enum class Utf8Scan : uint8_t {
  kWhole,    // all characters are complete, and plain
  kNeedOne,  // so many bytes of 80..BF are missing
  kNeedTwo,
  kNeedThree,
  kAfterE0,  // the next byte has fewer values
  kAfterEd,
  kAfterF0,
  kAfterF4,
  kOther,  // it held something else
};

// Behind one more byte. Plain are all characters but ", \ and those below U+0020.
Utf8Scan scan_utf8(Utf8Scan before, uint8_t byte) noexcept;

class PlainTokens {
 public:
  static constexpr size_t kMostCharacters = 64;  // of a token: TokenTrie::kMostBytes
  struct Rest {
    uint32_t node = 0;       // of the trie
    uint32_t skip = 0;       // in rest(): behind all that hangs below
    uint8_t characters = 0;  // whole ones before it
    bool first = false;      // only such characters stand before it, none begun
  };

  explicit PlainTokens(const TokenTrie& trie);
  // Ordered by their number of characters.
  const std::vector<text::TokenId>& tokens() const { return tokens_; }
  // How many of tokens() have at most `characters`.
  uint32_t count(size_t characters) const { return counts_[characters]; }
  // Nodes of all other tokens, in the trie's order.
  const std::vector<Rest>& rest() const { return rest_; }

 private:
  std::vector<text::TokenId> tokens_;
  std::array<uint32_t, kMostCharacters + 1> counts_{};
  std::vector<Rest> rest_;
};

}  // namespace cria::grammar
