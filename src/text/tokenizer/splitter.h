// splitter.h - hand-written forms of the regular expressions that most pre-tokenizers share.
//
// Each appends the ends of the parts of text[begin, end) to `ends`: matches and the gaps between
// them, so the parts always cover the range. The names L3, Q2, G2, TK, G4, DS3c are those of the
// format's description; the expressions themselves stand in pretokenizer.cpp.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace cria::text {

using Ends = std::vector<uint32_t>;

struct Range {
  uint32_t begin, end;
};

// L3 (digits 3), Q2 (digits 1), and their relatives.
struct WordRules {
  uint32_t digits = 3;                     // longest run of numbers in one part
  bool marks_are_letters = false;          // qwen35: [\p{L}\p{M}]+
  bool newlines_after_punctuation = true;  // the branch of punctuation ends in [\r\n]*
};
void split_words(std::string_view text, Range range, const WordRules& rules, Ends& ends);

void split_gpt2(std::string_view text, Range range, Ends& ends);  // G2

// TK and G4: words break where the case changes from lower to upper.
struct CaseRules {
  uint32_t digits = 3;
  bool contractions = true;  // a contraction stays with its word
};
void split_cases(std::string_view text, Range range, const CaseRules& rules, Ends& ends);

void split_deepseek3(std::string_view text, Range range, Ends& ends);  // DS3c

// Runs of \p{N} cut into parts of at most `digits`; everything else is a gap.
void split_numbers(std::string_view text, Range range, uint32_t digits, Ends& ends);

// Runs of code points inside a set of ranges.
struct CodePointRange {
  uint32_t first, last;
};
using CodePointSet = std::vector<CodePointRange>;
void split_set(std::string_view text, Range range, const CodePointSet& set, Ends& ends);

}  // namespace cria::text
