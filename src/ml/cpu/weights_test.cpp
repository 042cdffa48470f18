// Weights that are read late: the bits of a plan that has them in memory from the beginning.
#include "base/error.h"
#include "ml/cpu/panels.h"
#include "ml/graph_for_tests.h"

#include <doctest/doctest.h>

#include <unistd.h>

#include <array>

namespace cria::ml::cpu {
namespace {

constexpr int64_t kWidth = 256;

// A table of which tokens are rows, a product, and the table once more as the head.
struct Model {
  TestWeights weights;
  Graph graph{64};
  KvLayout kv;
  Tensor table, middle;

  Model(DType dtype, int64_t vocabulary)
      : table(weights.make(dtype, {kWidth, vocabulary, 1, 1})),
        middle(weights.make(dtype, {kWidth, kWidth, 1, 1})) {
    const Tensor x = scale(matmul(middle, rows(table, graph.tokens())), 0.01f);
    graph.set_result(matmul(table, rows(x, graph.outputs())));
  }
};

CompileOptions late(int threads) {
  return {.threads = threads, .late_weights = true};
}

std::vector<TestRun::Part> tokens(size_t count) {
  return {{some_tokens(count, 97, count)}};
}

void check_late(const Model& model) {
  for (const int threads : {1, 3})
    for (const size_t count : {size_t{1}, size_t{2}, size_t{9}, size_t{33}}) {
      CAPTURE(threads);
      CAPTURE(count);
      TestRun early(model.graph, model.kv, "cpu", {.threads = threads});
      CHECK(early.plan().unread_bytes() == 0);
      const std::vector<float> wanted = early.run(tokens(count));
      TestRun run(model.graph, model.kv, "cpu", late(threads));
      const int64_t all = run.plan().unread_bytes();
      CHECK(all > 0);
      CHECK(run.run(tokens(count)) == wanted);
      CHECK(run.plan().unread_bytes() == all);
      CHECK(run.run(tokens(count)) == wanted);
      CHECK(run.plan().unread_bytes() == 0);
      CHECK(run.run(tokens(count)) == wanted);
    }
}

TEST_CASE(
    "the first step computes from the file, the second reads the weights, with the same bits") {
  for (const DType dtype :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,
        DType::kQ5_1, DType::kQ8_0, DType::kIQ4_NL, DType::kMXFP4, DType::kQ2_K, DType::kQ3_K,
        DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kIQ4_XS, DType::kTQ2_0}) {
    CAPTURE(std::string(quant::info(dtype).name));
    check_late(Model(dtype, 97));
  }
}

TEST_CASE("a head in two planes is multiplied from the file as it is from memory") {
  const Model model(DType::kQ8_0, 33000);
  check_late(model);
}

TEST_CASE("a type without panels is multiplied from the file as it is from memory") {
  REQUIRE_FALSE(panel_kind(DType::kQ8_1).has_value());
  check_late(Model(DType::kQ8_1, 97));
}

TEST_CASE("what takes long to spell out is read at once") {
  for (const DType dtype : {DType::kIQ2_XXS, DType::kIQ3_S, DType::kIQ1_S, DType::kTQ1_0}) {
    CAPTURE(std::string(quant::info(dtype).name));
    const Model model(dtype, 97);
    CHECK(TestRun(model.graph, model.kv, "cpu", late(2)).plan().unread_bytes() == 0);
  }
}

// With none, one, two, ... parts of the weights in memory.
void check_parts(const Model& model, size_t count) {
  TestRun early(model.graph, model.kv, "cpu", {.threads = 2});
  const std::vector<float> wanted = early.run(tokens(count));
  for (int parts = 0;; ++parts) {
    CAPTURE(parts);
    TestRun run(model.graph, model.kv, "cpu", late(2));
    for (int i = 0; i < parts; ++i) {
      const int64_t before = run.plan().unread_bytes();
      run.plan().load(1);
      CHECK(run.plan().unread_bytes() < before);
    }
    const int64_t left = run.plan().unread_bytes();
    CHECK(run.run(tokens(count)) == wanted);
    CHECK(run.plan().unread_bytes() == left);
    if (left > 0) continue;
    CHECK(parts >= 3);   // the table takes several jobs
    run.plan().load(1);  // nothing
    CHECK(run.run(tokens(count)) == wanted);
    return;
  }
}

TEST_CASE("weights may be read bit by bit before the first step") {
  for (const size_t count : {size_t{1}, size_t{9}}) {
    check_parts(Model(DType::kF32, 16001), count);   // the last panel has rows that are not there
    check_parts(Model(DType::kQ8_0, 33000), count);  // a head in two planes
  }
}

TEST_CASE("late weights give hidden states, tables by position and another head, too") {
  TestWeights weights;
  Graph graph(64);
  const auto table = [&](int64_t rows) { return weights.make(DType::kQ4_0, {kWidth, rows, 1, 1}); };
  const Tensor x = rows(table(97), graph.tokens()) + rows(table(64), graph.positions());
  const Tensor hidden = rms_norm(matmul(table(kWidth), x), {}, 1e-5f);
  graph.set_hidden(hidden);
  graph.set_result(matmul(table(1), rows(hidden, graph.outputs())));
  for (const bool first : {false, true}) {
    CAPTURE(first);
    TestRun early(graph, {}, "cpu", {.threads = 2}), run(graph, {}, "cpu", late(2));
    for (const bool wants_hidden : {first, !first, first})
      CHECK(run.run(tokens(9), wants_hidden) == early.run(tokens(9), wants_hidden));
    CHECK(run.plan().unread_bytes() == 0);
  }
}

TEST_CASE("a prompt that goes on reads the weights first") {
  const Model model(DType::kQ4_K, 97);
  const auto backend = make_backend("cpu");
  const auto plan = backend->compile(model.graph, late(2));
  const auto kv = backend->allocate_kv(model.kv, 1);
  const std::array<int32_t, 2> ids = {3, 4}, positions = {0, 1};
  const std::array<int32_t, 1> pages = {0};
  const SequenceRows sequence = {.rows = 2, .pages = pages};
  plan->run({.tokens = ids, .positions = positions, .sequences = {&sequence, 1}}, *kv, {});
  CHECK(plan->unread_bytes() == 0);
}

TEST_CASE("a file that has become shorter is an error, wherever its weights are read") {
  for (const size_t count : {size_t{1}, size_t{9}})
    for (const bool table : {false, true}) {
      CAPTURE(count);
      CAPTURE(table);
      const Model model(DType::kQ4_K, 97);
      TestRun run(model.graph, model.kv, "cpu", late(2));
      const WeightSource* const source = (table ? model.table : model.middle).node()->weight;
      REQUIRE(::ftruncate(source->file->descriptor(), 100) == 0);
      CHECK_THROWS_AS(run.run(tokens(count)), Error);
      const int64_t unread = run.plan().unread_bytes();
      CHECK(unread > 0);
      CHECK_THROWS_AS(run.plan().load(INT64_MAX), Error);
      CHECK(run.plan().unread_bytes() == unread);
      CHECK_THROWS_AS(run.run(tokens(count)), Error);
      CHECK_FALSE(run.plan().progress().running);
    }
}

}  // namespace
}  // namespace cria::ml::cpu
