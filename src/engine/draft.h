// draft.h - guesses how a text goes on: as it did after the place where its last tokens stood
// before (prompt lookup). Answers that edit, quote or summarise their prompt repeat much of it.
#pragma once

#include "text/tokenizer/tokenizer.h"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace cria::engine {

using text::TokenId;

struct Guess {
  TokenId token = 0;
  double probability = 0;  // that this guess and all before it are right
};

// Constant time per token, on average; memory is bounded: of an endless text the latest part stays.
class Drafter {
 public:
  explicit Drafter(std::span<const TokenId> prompt);
  // The text's next token. Guesses get their probability from how those before it turned out,
  // whether anybody used them or not.
  void append(TokenId token);
  // The most likely next tokens, at most `most`; replaces what is in `out`.
  void guess(int64_t most, std::vector<Guess>& out) const;

  static constexpr size_t kMostTokens = size_t{1} << 17;

 private:
  // Where each n-gram ended last, and for each of its ends the one before.
  struct Index {
    size_t order;                 // n
    std::vector<int32_t> heads;   // by hash; -1: none
    std::vector<int32_t> before;  // by position; -1: none
  };
  struct Match {
    int64_t next = 0;    // position of the token that is to come
    int64_t length = 0;  // so many tokens before it are the text's last ones; 0: no match
  };

  void add(TokenId token);
  void index_last(Index& index);
  void rebuild();
  size_t slot(const Index& index, size_t end) const;
  int64_t common(size_t end) const;
  void look_up(const Index& index, Match& best) const;
  bool nearer(int64_t next, int64_t than) const;

  std::vector<TokenId> tokens_;
  std::array<Index, 2> indexes_;  // longer n-grams first
  Match match_;
  int64_t expected_ = 0;  // where the text would go on, had it only replaced a token of its source
  // By length of the match: the share of right guesses lately. Longer matches are righter.
  std::array<double, 8> rates_;
};

}  // namespace cria::engine
