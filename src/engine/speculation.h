// speculation.h - how many guessed tokens a step shall verify: as many as pay.
//
// A step that carries the last token of a sequence and n guessed ones yields up to n + 1 tokens,
// but takes longer than a plain step, which has one row for each sequence. How long is measured as
// the engine runs, so where rows are dear or guesses are bad, nothing is guessed.
#pragma once

#include "engine/draft.h"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace cria::engine {

// Answers are the same with each; kAlways verifies every guess, for tests.
enum class Speculation { kOff, kWhereItPays, kAlways };

inline constexpr int64_t kMostGuesses = 15;  // of one sequence in a step

// How long steps take by their rows, each of which yields logits.
class StepCosts {
 public:
  // Of a step that had one row for each of `sequences`, and others for guesses.
  void record(int64_t rows, int64_t sequences, double seconds);
  // Whether a plain step of so many sequences was measured lately.
  bool knows(int64_t sequences) const;
  // A step's time in plain steps of `sequences`, which must be known.
  double of(int64_t rows, int64_t sequences) const;

 private:
  struct Cost {
    double seconds = 0;  // 0: never measured
    int64_t step = 0;    // when it was measured last
  };
  bool fresh(int64_t rows, int64_t steps) const;

  static constexpr int64_t kMostRows = 64;  // nothing is guessed for larger steps
  int64_t steps_ = 0;
  std::array<Cost, kMostRows + 1> costs_;  // by rows
};

// How many of its guesses each sequence gets verified in the next step, `budget` at most in all:
// the numbers for which the step yields most tokens per time. A step for several sequences stays
// short, for those that have no guesses.
std::vector<int64_t> share_guesses(std::span<const std::span<const Guess>> guesses,
                                   const StepCosts& costs, int64_t budget);
// All of them, as far as the budget goes.
std::vector<int64_t> share_all_guesses(std::span<const std::span<const Guess>> guesses,
                                       int64_t budget);

}  // namespace cria::engine
