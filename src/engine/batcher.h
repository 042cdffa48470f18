// batcher.h - which rows of which sequences make the next step, and running it.
#pragma once

#include "engine/sequence.h"
#include "ml/backend.h"

#include <cstdint>
#include <span>
#include <vector>

namespace cria::engine {

// How many rows each sequence gets in a step of at most `budget`, given the tokens that each still
// has to store. Sequences with one token generate, and come first; the rest is shared evenly by
// those that read their prompts, beginning with number `first`, so that a long prompt does not hold
// up a short one.
std::vector<int64_t> share_rows(std::span<const int64_t> pending, int64_t budget, size_t first);

struct BatchItem {
  Sequence* sequence = nullptr;  // with pages reserved for the rows
  int64_t rows = 0;              // > 0
  // Tokens that may come after its last one. Their rows leave the sequence as it is; whoever takes
  // one for right appends it and calls advance.
  std::span<const TokenId> guesses;
  int64_t best = 0;  // how many of the best logits are looked at, 0: all
};

// Runs steps of a plan.
class Batcher {
 public:
  // Both outlive the batcher. `vocabulary` is the length of a row of logits.
  Batcher(ml::Plan& plan, ml::KvStore& store, int64_t vocabulary);
  // One step. Returns for each item the logits after its last token and after each guess, or
  // nothing when the prompt goes on; valid until the next run. Those that nobody looks at may be
  // -infinity.
  std::vector<std::span<float>> run(std::span<const BatchItem> items);

 private:
  ml::Plan& plan_;
  ml::KvStore& store_;
  int64_t vocabulary_;
  std::vector<int32_t> tokens_, positions_, outputs_;
  std::vector<ml::SequenceRows> sequences_;
  std::vector<float> logits_;
};

// Chooses how many rows a step may have, so that it lasts about as long as told: a request that is
// cancelled, or one that waits for its next token, does not wait for a long prompt of another.
class StepSizer {
 public:
  explicit StepSizer(int64_t capacity) : capacity_(capacity) {}
  int64_t rows(double target_seconds) const;
  void record(int64_t rows, double seconds);

 private:
  int64_t capacity_;
  double seconds_per_row_ = 0;  // of prompt steps; 0: not known yet
};

}  // namespace cria::engine
