// kv_for_tests.h - KV memory that keeps tokens instead of keys and values.
#pragma once

#include "engine/sequence.h"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace cria::engine {

// Remembers which token was written at each position of each page, so that sharing, copying and
// shifting can be checked against what a sequence believes.
class FakeStore final : public ml::KvStore {
 public:
  explicit FakeStore(int64_t pages) : slots(static_cast<size_t>(pages * ml::kPageTokens), -1) {}
  int64_t pages() const override { return std::ssize(slots) / ml::kPageTokens; }
  int64_t bytes() const override { return std::ssize(slots); }
  ml::PageParts page_parts(int32_t page) override {  // two, as of two layers
    const auto half = static_cast<size_t>(ml::kPageTokens / 2);
    const auto whole = std::span(slots).subspan(2 * half * static_cast<size_t>(page), 2 * half);
    return {std::as_writable_bytes(whole.first(half)), std::as_writable_bytes(whole.last(half))};
  }
  void shift(std::span<const int32_t> pages, int64_t from, int64_t to, int64_t count) override {
    for (int64_t i = 0; i < count; ++i) at(pages, to + i) = at(pages, from + i);
  }
  int32_t& at(std::span<const int32_t> pages, int64_t position) {
    const int64_t page = pages[static_cast<size_t>(position / ml::kPageTokens)];
    return slots[static_cast<size_t>(page * ml::kPageTokens + position % ml::kPageTokens)];
  }

  std::vector<int32_t> slots;
};

struct Fixture {  // memory over a FakeStore
  explicit Fixture(int64_t pages, int64_t most_cached = INT64_MAX) {
    auto owned = std::make_unique<FakeStore>(pages);
    fake = owned.get();
    memory = std::make_unique<KvMemory>(std::move(owned), most_cached);
  }
  void compute(Sequence& sequence, int64_t rows) {
    sequence.reserve(rows);
    for (int64_t i = sequence.stored(); i < sequence.stored() + rows; ++i)
      fake->at(sequence.pages(), i) = sequence.tokens()[static_cast<size_t>(i)];
    sequence.advance(rows);
  }
  bool consistent(const Sequence& sequence) {
    for (int64_t i = 0; i < sequence.stored(); ++i)
      if (fake->at(sequence.pages(), i) != sequence.tokens()[static_cast<size_t>(i)]) return false;
    return true;
  }
  FakeStore* fake = nullptr;
  std::unique_ptr<KvMemory> memory;
};

inline std::vector<TokenId> count_up(TokenId first, int64_t n) {
  std::vector<TokenId> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(first + static_cast<TokenId>(i));
  return out;
}

}  // namespace cria::engine
