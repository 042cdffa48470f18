// The best logits of a step are those of a full pass, bit by bit, whatever the numbers are.
#include "ml/cpu/kernels.h"
#include "ml/cpu/plan.h"
#include "ml/graph_for_tests.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

namespace cria::ml::cpu {
namespace {

constexpr int64_t kVocabulary = 33000, kWidth = 128, kRowBytes = kWidth / 32 * 34;
constexpr int32_t kTokens = 8;

// A float table of a few tokens, and a head of kQ8_0 on their rows.
struct Model {
  TestWeights weights;
  Graph graph{16};

  Model(const std::vector<float>& table, const std::vector<std::byte>& head) {
    const Tensor x = rows(weights.floats({kWidth, kTokens, 1, 1}, table), graph.tokens());
    graph.set_result(matmul(weights.blocks(DType::kQ8_0, {kWidth, kVocabulary, 1, 1}, head),
                            rows(x, graph.outputs())));
  }
};

struct Runner {
  CpuPlan plan;
  CpuKvStore kv;

  Runner(const Model& model, const Kernels& kernels, int threads)
      : plan(model.graph, {.threads = threads}, kernels), kv({}, 1, kernels) {}

  // Logits of the last of the tokens, or of all.
  std::vector<float> run(const std::vector<int32_t>& tokens, int64_t best, bool all = false) {
    std::vector<int32_t> positions(tokens.size()), outputs;
    std::iota(positions.begin(), positions.end(), 0);
    for (const int32_t position : positions)
      if (all || position + 1 == std::ssize(tokens)) outputs.push_back(position);
    std::vector<float> logits(outputs.size() * static_cast<size_t>(kVocabulary));
    const std::vector<int32_t> pages = {0};
    const SequenceRows sequence = {.rows = std::ssize(tokens), .pages = pages};
    plan.run({.tokens = tokens,
              .positions = positions,
              .outputs = outputs,
              .sequences = {&sequence, 1},
              .best = best},
             kv, logits);
    return logits;
  }
};

std::vector<float> random_table() {
  Noise noise(3);
  std::vector<float> table(static_cast<size_t>(kWidth * kTokens));
  for (float& value : table) value = noise.next();
  return table;
}

std::vector<std::byte> random_head() {
  Noise noise(5);
  std::vector<std::byte> head(static_cast<size_t>(kVocabulary * kRowBytes));
  for (std::byte& byte : head) byte = static_cast<std::byte>(noise.bits() >> 24);
  for (size_t at = 0; at < head.size(); at += 34) {
    const uint16_t scale = quant::float_to_half(0.01f + 0.002f * noise.next());
    std::memcpy(&head[at], &scale, 2);
  }
  return head;
}

bool same_bits(float a, float b) {
  return std::memcmp(&a, &b, 4) == 0;
}

// Rows that are not -infinity have the full pass's bits, and all of its best ones are among them.
void check_best(const std::vector<float>& got, const std::vector<float>& full, int64_t best) {
  std::vector<float> sorted = full;
  std::ranges::nth_element(sorted, sorted.begin() + (best - 1), std::greater());
  const float least = sorted[static_cast<size_t>(best - 1)];
  int64_t wrong = 0;
  for (size_t i = 0; i < full.size(); ++i) {
    const bool must = full[i] >= least;
    wrong += !same_bits(got[i], full[i]) && (must || got[i] != -INFINITY);
  }
  CHECK(wrong == 0);
}

int64_t excluded(const std::vector<float>& logits) {
  return std::ranges::count(logits, -INFINITY);
}

template <class Body>
void for_each_plan(const Model& model, const Body& body) {
  const KernelList list = runnable_kernels();
  for (int i = 0; i < list.size; ++i)
    for (const int threads : {1, 3}) {
      CAPTURE(std::string(list.items[i]->name));
      CAPTURE(threads);
      Runner runner(model, *list.items[i], threads);
      body(runner);
    }
}

TEST_CASE("the best logits are those of a full pass, for one token or the last of several") {
  const Model model(random_table(), random_head());
  std::vector<float> first;
  for_each_plan(model, [&](Runner& runner) {
    for (const int32_t token : {0, 5}) {
      const std::vector<float> full = runner.run({token}, 0);
      CHECK(excluded(full) == 0);
      for (const int64_t best : {1, 2, 40, 64, 128}) {
        CAPTURE(best);
        const std::vector<float> got = runner.run({token}, best);
        check_best(got, full, best);
        CHECK(excluded(got) > kVocabulary * 9 / 10);  // it did search
        CHECK(runner.run({1, 2, token}, best) == got);
      }
      CHECK(runner.run({token}, 129) == full);
      if (first.empty()) first = runner.run({token}, 40);
      if (token == 0) CHECK(runner.run({token}, 40) == first);  // every set, any threads
    }
    const std::vector<float> both = runner.run({0, 5}, 40, true);
    CHECK(excluded(both) == 0);  // with several rows all logits come
  });
}

TEST_CASE("equal logits are all among the best, or none of them") {
  std::vector<std::byte> head = random_head();
  const std::vector<float> table = random_table();
  const Model plain(table, head);
  Runner runner(plain, *runnable_kernels().items[0], 1);
  const std::vector<float> full = runner.run({0}, 0);
  const auto best = std::ranges::max_element(full) - full.begin();
  for (int64_t row = 100; row < kVocabulary; row += 500)  // 66 rows like the best
    std::memcpy(&head[static_cast<size_t>(row * kRowBytes)],
                &head[static_cast<size_t>(best * kRowBytes)], kRowBytes);
  const Model tied(table, head);
  for_each_plan(tied, [&](Runner& other) {
    const std::vector<float> all = other.run({0}, 0);
    CHECK(std::ranges::count(all, full[static_cast<size_t>(best)]) >= 66);
    for (const int64_t count : {1, 40, 70}) check_best(other.run({0}, count), all, count);
  });
}

TEST_CASE("where all rows are alike the search gives up, and still nothing is wrong") {
  std::vector<std::byte> head = random_head();
  for (int64_t row = 1; row < kVocabulary; ++row)
    std::memcpy(&head[static_cast<size_t>(row * kRowBytes)], head.data(), kRowBytes);
  const Model model(random_table(), head);
  for_each_plan(model, [&](Runner& runner) {
    const std::vector<float> full = runner.run({1}, 0);
    for (int i = 0; i < 40; ++i) CHECK(runner.run({1}, 40) == full);
  });
}

TEST_CASE("a search that has to look at most rows again is not tried in every step") {
  std::vector<std::byte> head = random_head();
  const uint16_t scale = quant::float_to_half(0.01f);
  for (size_t at = 0; at < head.size(); ++at)  // too close to each other for the high bits
    if (at % 34 == 0)
      std::memcpy(&head[at], &scale, 2);
    else if (at % 34 >= 2)
      head[at] = static_cast<std::byte>(std::to_integer<int>(head[at]) % 56 - 28);
  const Model model(random_table(), head);
  for_each_plan(model, [&](Runner& runner) {
    const std::vector<float> full = runner.run({1}, 0);
    const std::vector<float> got = runner.run({1}, 40);
    check_best(got, full, 40);
    CHECK(excluded(got) > kVocabulary * 9 / 10);  // it found them, but it did not pay
    CHECK(runner.run({1}, 40) == full);
  });
}

TEST_CASE("what is not a number ends as in a full pass") {
  std::vector<float> table = random_table();
  table[7] = NAN;
  table[kWidth + 7] = INFINITY;
  std::vector<std::byte> head = random_head();
  const auto put = [&](int64_t row, float scale) {
    const uint16_t half = quant::float_to_half(scale);
    std::memcpy(&head[static_cast<size_t>(row * kRowBytes)], &half, 2);
  };
  put(3, NAN);
  put(4, INFINITY);
  put(5, -INFINITY);
  const Model model(table, head);
  for_each_plan(model, [&](Runner& runner) {
    for (const int32_t token : {0, 1, 2, 3}) {
      CAPTURE(token);
      const std::vector<float> full = runner.run({token}, 0);
      const std::vector<float> got = runner.run({token}, 40);
      std::vector<float> numbers;
      for (const float logit : full)
        if (std::isfinite(logit)) numbers.push_back(logit);
      std::ranges::sort(numbers, std::greater());
      int64_t wrong = 0;
      for (size_t i = 0; i < full.size(); ++i)
        if (std::isfinite(full[i]) && full[i] >= numbers[std::min<size_t>(39, numbers.size() - 1)])
          wrong += !same_bits(got[i], full[i]);
      CHECK(wrong == 0);
      int64_t finite = 0;
      for (size_t i = 0; i < full.size(); ++i) finite += std::isfinite(got[i]);
      CHECK(finite >= std::min<int64_t>(40, std::ssize(numbers)));
    }
  });
}

TEST_CASE("a table is read from the two planes of the head it is tied to") {
  TestWeights weights;
  Graph graph{16};
  const Tensor head = weights.blocks(DType::kQ8_0, {kWidth, kVocabulary, 1, 1}, random_head());
  graph.set_result(matmul(head, rows(rows(head, graph.tokens()), graph.outputs())));
  TestRun reference(graph, {}, "reference"), cpu(graph, {}, "cpu");
  const TestRun::Part part = {{0, 15, 16, static_cast<int32_t>(kVocabulary - 1)}};
  const std::vector<float> want = reference.run({part});
  CHECK(relative_error(cpu.run({part}), want, mean_square(want)) < 4e-4);
}

}  // namespace
}  // namespace cria::ml::cpu
