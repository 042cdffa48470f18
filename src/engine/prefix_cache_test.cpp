#include "engine/prefix_cache.h"

#include "engine/sequence.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <list>
#include <random>

namespace cria::engine {
namespace {

using ml::kPageTokens;

// Remembers which token was written at each position of each page, so that sharing, copying and
// shifting can be checked against what a sequence believes.
class FakeStore final : public ml::KvStore {
 public:
  explicit FakeStore(int64_t pages) : slots_(static_cast<size_t>(pages * kPageTokens), -1) {}
  int64_t pages() const override { return std::ssize(slots_) / kPageTokens; }
  int64_t bytes() const override { return std::ssize(slots_); }
  void copy_page(int32_t from, int32_t to) override {
    std::copy_n(slots_.begin() + from * kPageTokens, kPageTokens,
                slots_.begin() + to * kPageTokens);
  }
  void shift(std::span<const int32_t> pages, int64_t from, int64_t to, int64_t count) override {
    for (int64_t i = 0; i < count; ++i) at(pages, to + i) = at(pages, from + i);
  }
  TokenId& at(std::span<const int32_t> pages, int64_t position) {
    const int64_t page = pages[static_cast<size_t>(position / kPageTokens)];
    return slots_[static_cast<size_t>(page * kPageTokens + position % kPageTokens)];
  }

 private:
  std::vector<TokenId> slots_;
};

struct Fixture {
  explicit Fixture(int64_t pages) {
    auto owned = std::make_unique<FakeStore>(pages);
    fake = owned.get();
    memory = std::make_unique<KvMemory>(std::move(owned));
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
  FakeStore* fake;
  std::unique_ptr<KvMemory> memory;
};

std::vector<TokenId> count_up(TokenId first, int64_t n) {
  std::vector<TokenId> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(first + static_cast<TokenId>(i));
  return out;
}

TEST_CASE("a finished sequence is found again, its part-full page by copy") {
  Fixture f(8);
  {
    Sequence first(*f.memory, count_up(0, 70));
    CHECK(first.reused() == 0);
    f.compute(first, 70);
    first.publish(true);
  }
  CHECK(f.memory->pool().free() == 5);
  Sequence longer(*f.memory, count_up(0, 100));
  CHECK(longer.reused() == 70);
  CHECK(f.consistent(longer));
  CHECK(f.memory->pool().free() == 4);  // two pages shared, one copied
  f.compute(longer, 30);
  CHECK(f.consistent(longer));
  Sequence same(*f.memory, count_up(0, 70));  // the last token is always computed
  CHECK(same.reused() == 69);
}

TEST_CASE("a prompt that leaves the known text within a page shares what is equal") {
  Fixture f(8);
  Sequence first(*f.memory, count_up(0, 64));
  f.compute(first, 64);
  first.publish(false);
  std::vector<TokenId> other = count_up(0, 64);
  other[40] = 999;
  Sequence second(*f.memory, other);
  CHECK(second.reused() == 40);
  f.compute(second, 24);
  CHECK(f.consistent(first));
  CHECK(f.consistent(second));
}

TEST_CASE("two sequences that computed the same pages end up sharing them") {
  Fixture f(8);
  Sequence a(*f.memory, count_up(0, 64)), b(*f.memory, count_up(0, 64));
  f.compute(a, 64);
  f.compute(b, 64);
  CHECK(f.memory->pool().free() == 4);
  a.publish(false);
  b.publish(false);
  CHECK(f.memory->pool().free() == 6);
  CHECK(f.consistent(b));
}

TEST_CASE("the least recently used prefix goes first, and never a page in use") {
  Fixture f(4);
  for (const TokenId start : {0, 1000}) {
    Sequence s(*f.memory, count_up(start, 64));
    f.compute(s, 64);
    s.publish(true);
  }
  Sequence keep(*f.memory, count_up(0, 65));  // renews the older one
  Sequence fresh(*f.memory, count_up(5000, 30));
  f.compute(fresh, 30);
  CHECK(f.consistent(keep));
  CHECK(Sequence(*f.memory, count_up(1000, 40)).reused() == 32);  // its second page went
}

TEST_CASE("a shift moves tokens in pages of its own and leaves sharers alone") {
  Fixture f(8);
  Sequence a(*f.memory, count_up(0, 96));
  f.compute(a, 95);
  a.publish(false);
  Sequence b(*f.memory, count_up(0, 80));
  CHECK(b.reused() == 64);  // the third page is not full yet
  a.shift(4, 50);
  CHECK(a.stored() == 45);
  CHECK(a.tokens()[4] == 54);
  CHECK(f.consistent(a));
  CHECK(f.consistent(b));
  a.publish(true);  // nothing but the first tokens is what it says
  CHECK(Sequence(*f.memory, {0, 1, 2, 3, 54, 55}).reused() <= 4);
}

TEST_CASE("random work: contents stay true, and all pages come back") {
  constexpr int64_t kContext = 160, kParallel = 3;
  for (uint32_t seed = 0; seed < 30; ++seed) {
    std::mt19937 random(seed);
    Fixture f(kParallel * kContext / kPageTokens);
    std::list<Sequence> live;
    for (int round = 0; round < 400; ++round) {
      if (std::ssize(live) < kParallel && random() % 3 == 0) {
        std::vector<TokenId> prompt(1 + random() % 120);
        const uint32_t family = random() % 2;  // many equal beginnings
        for (size_t i = 0; i < prompt.size(); ++i)
          prompt[i] = static_cast<TokenId>(i % 7 + family + (random() % 64 == 0 ? 1 : 0));
        live.emplace_back(*f.memory, prompt);
      }
      for (auto it = live.begin(); it != live.end();) {
        Sequence& s = *it;
        if (s.stored() == kContext) s.shift(4, 78);
        f.compute(s, 1 + random() % static_cast<uint32_t>(std::min<int64_t>(s.pending(), 50)));
        REQUIRE(f.consistent(s));
        if (s.pending() == 0) {
          if (random() % 4 == 0) s.publish(false);
          s.append(static_cast<TokenId>(random() % 3));
        }
        if (random() % 60 == 0) {
          s.publish(true);
          it = live.erase(it);
        } else {
          ++it;
        }
      }
    }
    live.clear();
    CHECK(f.memory->pool().free() + f.memory->cache().size() == f.memory->pool().size());
    while (f.memory->cache().evict()) {
    }
    CHECK(f.memory->pool().free() == f.memory->pool().size());
  }
}

}  // namespace
}  // namespace cria::engine
