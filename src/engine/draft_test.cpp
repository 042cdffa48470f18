#include "engine/draft.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

namespace cria::engine {
namespace {

std::vector<TokenId> guessed(const Drafter& drafter, int64_t most = 4) {
  std::vector<Guess> guesses;
  drafter.guess(most, guesses);
  std::vector<TokenId> out;
  for (const Guess& guess : guesses) out.push_back(guess.token);
  return out;
}

double first_probability(const Drafter& drafter) {
  std::vector<Guess> guesses;
  drafter.guess(1, guesses);
  return guesses.empty() ? -1 : guesses[0].probability;
}

using Ids = std::vector<TokenId>;

TEST_CASE("a text goes on as it did after its last tokens before") {
  CHECK(guessed(Drafter(Ids{1, 2, 3, 4, 5, 6, 7, 8, 2, 3})) == Ids{4, 5, 6, 7});
  CHECK(guessed(Drafter(Ids{1, 2, 3, 4, 5, 6, 7, 8, 2, 3}), 2) == Ids{4, 5});
  Drafter drafter(Ids{1, 2, 3, 4, 5, 6});
  CHECK(guessed(drafter).empty());
  drafter.append(2);
  CHECK(guessed(drafter).empty());  // one equal token says nothing
  drafter.append(3);
  CHECK(guessed(drafter) == Ids{4, 5, 6, 2});
  drafter.append(4);
  CHECK(guessed(drafter) == Ids{5, 6, 2, 3});
  drafter.append(9);
  CHECK(guessed(drafter).empty());
}

TEST_CASE("short and empty texts have no guesses") {
  for (const Ids& text : {Ids{}, Ids{1}, Ids{1, 1}, Ids{1, 2, 3}}) {
    Drafter drafter(text);
    CHECK(guessed(drafter).empty());
    drafter.append(7);
    CHECK(guessed(drafter).empty());
  }
}

TEST_CASE("a text that repeats itself goes round") {
  CHECK(guessed(Drafter(Ids{1, 2, 3, 1, 2}), 7) == Ids{3, 1, 2, 3, 1, 2, 3});
  CHECK(guessed(Drafter(Ids{5, 5, 5, 5}), 3) == Ids{5, 5, 5});
}

TEST_CASE("the longest match wins, then the latest") {
  const Ids longer = {10, 11, 12, 13, 20, /**/ 7, 12, 13, 30, /**/ 10, 11, 12, 13};
  CHECK(guessed(Drafter(longer), 1) == Ids{20});
  const Ids equal = {8, 12, 13, 20, /**/ 7, 12, 13, 30, /**/ 9, 12, 13};
  CHECK(guessed(Drafter(equal), 1) == Ids{30});
}

TEST_CASE("after a replaced token the text goes on beside its place, not at the latest likeness") {
  Ids text = {1, 2, 3, 4, 50, 6, 7, 80};
  for (TokenId filler = 1000; filler < 1040; ++filler) text.push_back(filler);
  text.insert(text.end(), {6, 7, 90, 999});
  Drafter drafter(text);
  for (const TokenId token : {1, 2, 3, 4, 51, 6, 7}) drafter.append(token);
  CHECK(guessed(drafter, 1) == Ids{80});
}

TEST_CASE("probabilities follow how guesses turned out, and fall along a draft") {
  Ids text;
  for (TokenId token = 0; token < 200; ++token) text.push_back(token);
  Drafter right(text);
  right.append(0);
  right.append(1);
  const double before = first_probability(right);
  for (TokenId token = 2; token < 100; ++token) right.append(token);
  CHECK(first_probability(right) > 0.95);
  std::vector<Guess> guesses;
  right.guess(8, guesses);
  REQUIRE(guesses.size() == 8);
  CHECK(std::ranges::is_sorted(guesses, std::ranges::greater_equal{}, &Guess::probability));

  Drafter wrong(text);
  for (TokenId i = 0; i < 60; ++i) {  // two tokens as before, then another one
    wrong.append(3 * i % 190);
    wrong.append(3 * i % 190 + 1);
    wrong.append(1000 + i);
  }
  wrong.append(0);
  wrong.append(1);
  CHECK(first_probability(wrong) < before / 4);
}

// The plain definition: the longest earlier occurrence of the text's end.
struct Found {
  size_t next = 0, length = 0;
  bool unique = true;
};

Found longest_match(const Ids& text) {
  Found best;
  for (size_t end = 0; end + 1 < text.size(); ++end) {
    size_t length = 0;
    while (length <= end && length < 32 && text[end - length] == text[text.size() - 1 - length])
      ++length;
    if (length > best.length)
      best = {end + 1, length, true};
    else if (length == best.length)
      best.unique = false;
  }
  return best;
}

TEST_CASE("guesses are those of a search through the whole text") {
  int compared = 0;
  for (uint32_t seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    Ids text;
    for (int i = 0; i < 100; ++i) text.push_back(static_cast<TokenId>(random() % 60));
    Drafter drafter(text);
    for (int part = 0; part < 30; ++part) {  // copies of parts, with noise between them
      const size_t start = random() % (text.size() - 20), count = 3 + random() % 17;
      for (size_t i = 0; i <= count; ++i) {
        const TokenId token = i < count ? text[start + i] : static_cast<TokenId>(random() % 60);
        text.push_back(token);
        drafter.append(token);
        const Found found = longest_match(text);
        // A match that was going on stays when another is as long; this one is the only one.
        if (!found.unique || found.length < 4) continue;
        REQUIRE(guessed(drafter, 1) == Ids{text[found.next]});
        ++compared;
      }
    }
  }
  CHECK(compared > 2000);
}

TEST_CASE("of an endless text the latest part is remembered") {
  std::mt19937 random(3);
  Drafter drafter(Ids{1, 2, 3, 4, 1, 2});
  Ids latest;
  for (size_t i = 0; i < 2 * Drafter::kMostTokens + 100; ++i) {
    const auto token = static_cast<TokenId>(random() % 100000);
    drafter.append(token);
    latest.push_back(token);
  }
  const size_t start = latest.size() - 1000;
  for (size_t i = 0; i < 10; ++i) drafter.append(latest[start + i]);
  CHECK(guessed(drafter, 1) == Ids{latest[start + 10]});
  const Ids huge(3 * Drafter::kMostTokens, 7);
  CHECK(guessed(Drafter(huge), 2) == Ids{7, 7});
}

}  // namespace
}  // namespace cria::engine
