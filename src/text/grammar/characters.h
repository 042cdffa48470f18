// characters.h - sets of Unicode characters, and how a character is spelled in bytes.
#pragma once

#include "text/grammar/expression.h"

#include <cstdint>
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
// One character of `ranges`, which may overlap; surrogates in them count for nothing.
Expr character(Expressions& to, CodeRanges ranges, Spelling spelling);

}  // namespace cria::grammar
