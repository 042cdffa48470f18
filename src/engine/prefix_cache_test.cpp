#include "engine/prefix_cache.h"

#include "engine/kv_for_tests.h"
#include "engine/sequence.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <list>
#include <random>

namespace cria::engine {
namespace {

using ml::kPageTokens;

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

TEST_CASE("a sequence that is paused gives its pages back and goes on from what is left of them") {
  Fixture f(5);
  Sequence a(*f.memory, count_up(0, 100));
  f.compute(a, 90);
  CHECK(f.memory->available() == 2);
  a.pause();
  CHECK(f.memory->available() == 5);
  CHECK(a.pages().empty());
  {
    Sequence b(*f.memory, count_up(500, 90));
    f.compute(b, 90);  // takes two free pages, and one that was the other's
    a.resume();
    CHECK(a.stored() == 64);
    CHECK(f.consistent(a));
    CHECK_THROWS_AS(f.compute(a, 36), OutOfPages);
    a.pause();
  }
  a.resume();
  f.compute(a, a.pending());
  CHECK(a.tokens().size() == 100);
  CHECK(f.consistent(a));
}

TEST_CASE("a sequence that is paused after shifts comes to the same by all tokens it ever had") {
  constexpr int64_t kContext = 64, kKeep = 4, kDiscard = 30;
  for (const int64_t tokens : {66, 95, 130, 155, 156}) {  // ends in and at the end of a context
    CAPTURE(tokens);
    Fixture f(3);
    Sequence a(*f.memory, count_up(0, 40));
    for (TokenId next = 40;; ++next) {
      f.compute(a, a.pending());
      if (next == tokens) break;
      a.append(next);
      if (a.size() > kContext) {
        f.compute(a, a.pending() - 1);
        a.shift(kKeep, kDiscard);
      }
    }
    const std::vector<TokenId> before(a.tokens().begin(), a.tokens().end());
    const int64_t stored = a.stored();
    for (int pauses = 0; pauses < 2; ++pauses) {
      a.pause();
      CHECK(f.memory->available() == 3);
      CHECK(a.shifted());
      Sequence(*f.memory, count_up(700, 80)).reserve(80);  // others use them
      a.resume();
      int shifts = 0;
      for (; a.size() > kContext; ++shifts) {
        f.compute(a, a.pending() - 1);
        a.shift(kKeep, kDiscard);
      }
      CHECK(shifts == (tokens - kContext - 1) / kDiscard + 1);
      CHECK_FALSE(a.repeats());
      f.compute(a, a.pending());
      CHECK(std::ranges::equal(a.tokens(), before));
      CHECK(a.stored() == stored);
      CHECK(f.consistent(a));
      CHECK(a.cost() == tokens);
    }
  }
}

TEST_CASE("a cache that is large enough takes no memory that was never used") {
  Fixture f(8, 2);
  for (const TokenId start : {0, 1000, 2000, 3000}) {
    Sequence s(*f.memory, count_up(start, 32));
    f.compute(s, 32);
    s.publish(true);
  }
  CHECK(f.memory->cache().size() == 2);
  CHECK(f.memory->pool().touched() == 2);
  Sequence large(*f.memory, count_up(5000, 200));
  f.compute(large, 200);
  CHECK(f.memory->pool().touched() >= 7);  // who runs may have all
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
