// merge_table.h - the merges of a BPE vocabulary by the ids of their two sides.
#pragma once

#include "text/tokenizer/merge.h"

#include <bit>

namespace cria::text {

class MergeTable {
 public:
  explicit MergeTable(size_t capacity = 0)
      : slots_(std::bit_ceil(std::max<size_t>(16, capacity * 2))), mask_(slots_.size() - 1) {}

  // The first merge of a pair counts: it has the lowest rank.
  void add(TokenId left, TokenId right, MergeResult merge) {
    for (size_t i = place(key(left, right));; i = (i + 1) & mask_) {
      if (slots_[i].key == key(left, right)) return;
      if (slots_[i].key != kEmpty) continue;
      slots_[i] = {key(left, right), merge};
      return;
    }
  }
  MergeResult find(TokenId left, TokenId right) const {
    const uint64_t wanted = key(left, right);
    for (size_t i = place(wanted);; i = (i + 1) & mask_) {
      if (slots_[i].key == wanted) return slots_[i].merge;
      if (slots_[i].key == kEmpty) return {};
    }
  }

 private:
  static constexpr uint64_t kEmpty = UINT64_MAX;
  struct Slot {
    uint64_t key = kEmpty;
    MergeResult merge;
  };
  static uint64_t key(TokenId left, TokenId right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  size_t place(uint64_t k) const {
    k *= 0x9E3779B97F4A7C15;
    return static_cast<size_t>(k ^ k >> 32) & mask_;
  }

  std::vector<Slot> slots_;
  size_t mask_;
};

}  // namespace cria::text
