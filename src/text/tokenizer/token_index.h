// token_index.h - an immutable hash table from byte strings to token ids.
//
// One flat table and one blob: a look-up costs one hash and, nearly always, two cache misses.
#pragma once

#include "text/tokenizer/tokenizer.h"

#include <bit>
#include <cstring>

namespace cria::text {

inline uint64_t hash_bytes(std::string_view key) {
  constexpr uint64_t kFactor = 0x9E3779B97F4A7C15;
  uint64_t hash = key.size() * kFactor;
  const char* p = key.data();
  size_t left = key.size();
  const auto mix = [&](uint64_t word) {
    hash = (hash ^ word) * kFactor;
    hash ^= hash >> 32;
  };
  for (; left >= 8; p += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    mix(word);
  }
  uint64_t word = 0;
  for (size_t i = 0; i < left; ++i) word |= uint64_t{static_cast<uint8_t>(p[i])} << (8 * i);
  if (left > 0) mix(word);
  return hash ^ hash >> 29;
}

class TokenIndex {
 public:
  explicit TokenIndex(size_t capacity = 0) { reserve(capacity); }

  // Keeps the first id of a key that comes twice. Empty keys are not stored.
  void add(std::string_view key, TokenId id);
  // -1 when absent.
  TokenId find(std::string_view key) const {
    const uint64_t hash = hash_bytes(key);
    for (size_t i = hash & mask_;; i = (i + 1) & mask_) {
      const Slot& slot = slots_[i];
      if (slot.id < 0) return -1;
      if (slot.check == static_cast<uint32_t>(hash >> 32) && same(slot, key)) return slot.id;
    }
  }
  size_t longest() const { return longest_; }  // bytes of the longest key

 private:
  struct Slot {
    uint32_t check = 0;  // upper half of the hash
    TokenId id = -1;
    uint32_t start = 0;
    uint32_t size = 0;
  };
  bool same(const Slot& slot, std::string_view key) const {
    return slot.size == key.size() &&
           std::memcmp(blob_.data() + slot.start, key.data(), key.size()) == 0;
  }
  void reserve(size_t capacity);

  std::vector<Slot> slots_;
  size_t mask_ = 0, used_ = 0, longest_ = 0;
  std::string blob_;
};

}  // namespace cria::text
