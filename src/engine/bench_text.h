// bench_text.h - what speed is measured on. Not random tokens: how fast the best logits are found
// depends on what they are.
#pragma once

#include "text/tokenizer/tokenizer.h"

#include <string_view>
#include <vector>

namespace cria::engine {

inline constexpr std::string_view kBenchText =
    "The river had been rising for three days when the council met in the old school house. Nobody "
    "could remember such a spring: snow still lay in the northern valleys, and yet it was warm "
    "enough to sit outside in the evening. Mrs. Hale, who kept the ferry, said that the water "
    "would "
    "reach the lower road by Friday; the miller thought it would take a week. They agreed to move "
    "the cattle first, then the grain, and to send a boy to the bridge each morning to read the "
    "mark. \"If it passes the second line,\" said the clerk, \"we ring the bell, and everybody "
    "goes "
    "up the hill.\" By midnight the rain had begun again. ";

// `count` tokens: the text, again and again.
inline std::vector<text::TokenId> bench_tokens(const text::Tokenizer& tokenizer, int64_t count) {
  std::vector<text::TokenId> out = tokenizer.encode(kBenchText, {.add_special = true});
  const auto once = out;
  while (std::ssize(out) < count) out.insert(out.end(), once.begin(), once.end());
  out.resize(static_cast<size_t>(count));
  return out;
}

}  // namespace cria::engine
