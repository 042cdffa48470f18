// characters.h - sets of Unicode characters, and how a character is spelled in bytes.
#pragma once

#include "text/grammar/expression.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace cria::grammar {

struct CodeRange {
  uint32_t first = 0, last = 0;  // both in it
};
using CodeRanges = std::vector<CodeRange>;

inline constexpr uint32_t kLastCodePoint = 0x10FFFF;

// kPlain: UTF-8. kJson: as inside a JSON string, each character spelled in one way only: ", \ and
// control characters are escaped (\n where there is a letter, else \u00xx), nothing else is.
enum class Spelling { kPlain, kJson };

// All characters but `ranges`. Sorted and apart; surrogates are never in it.
CodeRanges complement(CodeRanges ranges);
// The number of so many hexadecimal digits at text[at], which moves behind them; none, and `at` on
// the first that is no digit, where there are fewer.
std::optional<uint32_t> read_hexadecimal(std::string_view text, size_t& at, int digits);
// One character of `ranges`, which may overlap; surrogates in them count for nothing.
Expr character(Expressions& to, CodeRanges ranges, Spelling spelling);

}  // namespace cria::grammar
