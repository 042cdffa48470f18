// merge.h - merging adjacent symbols, best pair first and leftmost among equals.
//
// The order in which pairs merge decides the result, so both forms below follow it exactly: a plain
// scan for pieces of ordinary size, a heap over a linked list for long ones (n log n).
#pragma once

#include "text/tokenizer/tokenizer.h"

#include <algorithm>
#include <cstring>

namespace cria::text {

constexpr uint32_t kNoRank = UINT32_MAX;

struct MergeResult {
  uint32_t rank = kNoRank;  // lower merges first
  TokenId id = -1;
};

struct Symbol {
  uint32_t start;  // byte offset in the piece
  TokenId id;      // -1 when no token has this text
  MergeResult with_next;
};

// Reused between pieces so that no piece allocates.
struct MergeScratch {
  std::vector<Symbol> symbols;
  std::vector<uint32_t> next, previous;
  std::vector<uint64_t> heap;  // rank << 32 | index of the left symbol
  uint64_t steps = 0;          // pair look-ups, for tests of the growth of work
};

// `rule(left, right, end)` gives the merge of two adjacent symbols, `end` where the right one ends.
// scratch.symbols holds the initial symbols; afterwards those that remain, in order.
template <class Rule>
class Merger {
 public:
  Merger(const Rule& rule, MergeScratch& scratch, uint32_t piece_size)
      : rule_(rule), s_(scratch), size_(piece_size) {}

  void run() {
    if (s_.symbols.size() < 2) return;
    if (s_.symbols.size() <= kScanLimit)
      scan();
    else
      heap();
  }
  // The two forms, public so that tests can compare them.
  void scan();
  void heap();

 private:
  static constexpr size_t kScanLimit = 48;

  MergeResult look_up(size_t left, size_t right, uint32_t end) {
    ++s_.steps;
    return rule_(s_.symbols[left], s_.symbols[right], end);
  }

  const Rule& rule_;
  MergeScratch& s_;
  uint32_t size_;
};

template <class Rule>
void Merger<Rule>::scan() {
  auto& symbols = s_.symbols;
  size_t count = symbols.size();
  const auto end_of = [&](size_t i) { return i + 1 < count ? symbols[i + 1].start : size_; };
  const auto refresh = [&](size_t i) {
    symbols[i].with_next = i + 1 < count ? look_up(i, i + 1, end_of(i + 1)) : MergeResult{};
  };
  for (size_t i = 0; i < count; ++i) refresh(i);
  while (true) {
    size_t best = 0;
    uint32_t rank = kNoRank;
    for (size_t i = 0; i + 1 < count; ++i)
      if (symbols[i].with_next.rank < rank) rank = symbols[best = i].with_next.rank;
    if (rank == kNoRank) break;
    symbols[best].id = symbols[best].with_next.id;
    std::copy(symbols.begin() + static_cast<ptrdiff_t>(best) + 2,
              symbols.begin() + static_cast<ptrdiff_t>(count),
              symbols.begin() + static_cast<ptrdiff_t>(best) + 1);
    --count;
    refresh(best);
    if (best > 0) refresh(best - 1);
  }
  symbols.resize(count);
}

template <class Rule>
void Merger<Rule>::heap() {
  auto& symbols = s_.symbols;
  const auto count = static_cast<uint32_t>(symbols.size());
  s_.next.resize(count + 1);
  s_.previous.resize(count + 1);
  s_.heap.clear();
  const auto later = [](uint64_t a, uint64_t b) { return a > b; };
  const auto end_of = [&](uint32_t i) {
    return s_.next[i] < count ? symbols[s_.next[i]].start : size_;
  };
  const auto refresh = [&](uint32_t i) {
    const uint32_t right = s_.next[i];
    symbols[i].with_next = right < count ? look_up(i, right, end_of(right)) : MergeResult{};
    return symbols[i].with_next.rank != kNoRank;
  };
  const auto key = [&](uint32_t i) { return uint64_t{symbols[i].with_next.rank} << 32 | i; };
  for (uint32_t i = 0; i < count; ++i) {
    s_.next[i] = i + 1;
    s_.previous[i] = i == 0 ? count : i - 1;
  }
  for (uint32_t i = 0; i < count; ++i)
    if (refresh(i)) s_.heap.push_back(key(i));
  std::make_heap(s_.heap.begin(), s_.heap.end(), later);
  const auto push = [&](uint32_t i) {
    if (!refresh(i)) return;
    s_.heap.push_back(key(i));
    std::push_heap(s_.heap.begin(), s_.heap.end(), later);
  };
  while (!s_.heap.empty()) {
    std::pop_heap(s_.heap.begin(), s_.heap.end(), later);
    const uint64_t top = s_.heap.back();
    s_.heap.pop_back();
    const auto left = static_cast<uint32_t>(top);
    // A pair that changed since it was pushed has another rank now, or its left symbol is gone.
    if (symbols[left].with_next.rank != top >> 32) continue;
    const uint32_t right = s_.next[left];
    symbols[left].id = symbols[left].with_next.id;
    symbols[right].with_next = {};
    s_.next[left] = s_.next[right];
    if (s_.next[left] < count) s_.previous[s_.next[left]] = left;
    push(left);
    if (s_.previous[left] < count) push(s_.previous[left]);
  }
  uint32_t kept = 0;
  for (uint32_t i = 0; i < count; i = s_.next[i]) symbols[kept++] = symbols[i];
  symbols.resize(kept);
}

}  // namespace cria::text
