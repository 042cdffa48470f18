// best_logits.h - the search for the best logits of one row in a head of two planes.
//
// 1. All rows' bounds from the high plane (planes.h). The rows that look best, the seeds, are
//    computed in full; the least of them is the floor, under which none of the best can be.
// 2. The low bits of the rows whose bound is not under the floor tighten it.
// 3. Rows that still are not under the floor, the candidates, are computed in full.
// When there are too many of them all rows are computed. After a search that did not pay some steps
// do not search, twice as many each time.
#pragma once

#include "ml/cpu/planes.h"
#include "ml/cpu/program.h"

#include <array>
#include <span>
#include <vector>

namespace cria::ml::cpu {

inline constexpr int64_t kMostBest = 128;  // a step that wants more of the best logits gets all

struct ScoredRow {
  float score;
  int32_t row;
};

// What the search remembers, within a step and from step to step.
class BestLogits {
 public:
  // For the program's head in two planes; without one there is never a search.
  BestLogits(const Program& program, int threads);

  struct alignas(64) Thread {
    PlanesColumn column;
    std::vector<ScoredRow> seeds;   // a heap, the worst first
    std::vector<ScoredRow> merged;  // of all threads
    std::vector<int32_t> rows;      // of a part of the weight: those not under the floor
    std::vector<int32_t> candidates;
    size_t examined = 0;  // rows that were not under the floor
  };
  Thread& thread(int i) { return threads_[static_cast<size_t>(i)]; }
  float* slack() { return slack_.data(); }                 // of each row
  std::span<float> seed_logits() { return seed_logits_; }  // computed in full

  // The seeds of `active` threads in order of rows, into `merged` of thread `i`: at most `best`,
  // the same ones however the rows were shared out.
  std::span<const ScoredRow> merge_seeds(int i, int active, int64_t best);

  bool searches() const { return !threads_.empty() && pause_ == 0; }
  void begin_step() { pause_ -= pause_ > 0 ? 1 : 0; }
  void end_search(bool paid);

 private:
  std::vector<Thread> threads_;
  std::vector<float> slack_;
  std::array<float, kMostBest> seed_logits_ = {};
  int64_t pause_ = 0, next_pause_ = 0;  // steps
};

}  // namespace cria::ml::cpu
