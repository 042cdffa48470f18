// Guessed tokens in a step: which rows the plan gets, and what stays of them.
#include "engine/batcher.h"

#include "engine/kv_for_tests.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

namespace cria::engine {
namespace {

using ml::kPageTokens;

// Writes each row's token into the store; the logits of a row tell its token and its position.
class FakePlan final : public ml::Plan {
 public:
  void run(const ml::StepInput& step, ml::KvStore& kv, std::span<float> logits) noexcept override {
    auto& store = dynamic_cast<FakeStore&>(kv);
    for (const ml::SequenceRows& sequence : step.sequences)
      for (int64_t i = 0; i < sequence.rows; ++i) {
        const auto row = static_cast<size_t>(sequence.first_row + i);
        if (step.positions[row] != sequence.first_position + i) std::abort();
        store.at(sequence.pages, step.positions[row]) = step.tokens[row];
      }
    for (size_t i = 0; i < step.outputs.size(); ++i) {
      const auto row = static_cast<size_t>(step.outputs[i]);
      logits[2 * i] = static_cast<float>(step.tokens[row]);
      logits[2 * i + 1] = static_cast<float>(step.positions[row]);
    }
  }
  int64_t weight_bytes() const override { return 0; }
  int64_t scratch_bytes() const override { return 0; }
  ml::PlanProgress progress() const noexcept override { return {}; }
};

struct Fixture {
  FakeStore* store = new FakeStore(16);
  KvMemory memory{std::unique_ptr<ml::KvStore>(store)};
  FakePlan plan;
  Batcher batcher{plan, *store, 2};

  std::vector<std::vector<float>> run(std::vector<BatchItem> items) {
    for (const BatchItem& item : items)
      item.sequence->reserve(item.rows + std::ssize(item.guesses));
    std::vector<std::vector<float>> out;
    for (const std::span<float> rows : batcher.run(items))
      out.emplace_back(rows.begin(), rows.end());
    return out;
  }
};

std::vector<TokenId> count_up(TokenId first, size_t n) {
  std::vector<TokenId> out(n);
  std::iota(out.begin(), out.end(), first);
  return out;
}

TEST_CASE("a step gives logits after the last token and after each guess, of each sequence") {
  Fixture f;
  Sequence a(f.memory, {10, 11}), b(f.memory, {20}), c(f.memory, {30, 31, 32});
  const std::vector<TokenId> of_a = {12, 13}, of_b = {21};
  const auto logits = f.run({{&a, 2, of_a}, {&c, 2}, {&b, 1, of_b}});
  CHECK(logits[0] == std::vector<float>{11, 1, 12, 2, 13, 3});
  CHECK(logits[1].empty());  // its prompt goes on
  CHECK(logits[2] == std::vector<float>{20, 0, 21, 1});
  CHECK(a.stored() == 2);
  CHECK(b.stored() == 1);
  CHECK(c.stored() == 2);
}

TEST_CASE("rejected guesses are never found by others, accepted ones are") {
  Fixture f;
  {
    Sequence s(f.memory, count_up(0, 60));
    f.run({{&s, 60}});
    s.append(60);
    const std::vector<TokenId> guesses = count_up(61, 8);  // over the end of the second page
    f.run({{&s, 1, guesses}});
    for (const TokenId right : {61, 62}) {
      s.append(right);
      s.advance(1);
    }
    s.append(99);  // and not 63
    CHECK(s.stored() == 63);
    s.publish(true);
  }
  Sequence as_guessed(f.memory, count_up(0, 100));
  CHECK(as_guessed.reused() == 63);
  for (int64_t i = 0; i < 63; ++i) CHECK(f.store->at(as_guessed.pages(), i) == i);
}

TEST_CASE("the rows after a rejected guess overwrite it") {
  Fixture f;
  Sequence s(f.memory, count_up(0, 30));
  const std::vector<TokenId> guesses = count_up(30, 5);
  f.run({{&s, 30, guesses}});
  for (const TokenId token : count_up(500, 5)) {
    s.append(token);
    f.run({{&s, 1}});
  }
  s.publish(true);
  std::vector<TokenId> expected = count_up(0, 30);
  for (const TokenId token : count_up(500, 5)) expected.push_back(token);
  for (size_t i = 0; i < expected.size(); ++i)
    CHECK(f.store->at(s.pages(), static_cast<int64_t>(i)) == expected[i]);
  CHECK(Sequence(f.memory, count_up(0, 40)).reused() == 30);
}

}  // namespace
}  // namespace cria::engine
