// step_cost.cpp - what a step of several rows of one sequence costs against a step of one row.
//
//   bench_step_cost FILE THREADS [DEPTH] [ROUNDS]
//
// All rows yield logits, as in a step that verifies drafted tokens. The numbers of rows take turns,
// so that noise of the machine meets all of them alike. Prints the median milliseconds and the
// median of the ratios of each round.
#include "base/error.h"
#include "models/model.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>

namespace {

using namespace cria;

constexpr std::array<int64_t, 9> kRows = {1, 2, 3, 4, 5, 6, 8, 12, 16};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

struct Runner {
  models::LoadedModel model;
  std::unique_ptr<ml::Backend> backend = ml::make_backend("cpu");
  std::unique_ptr<ml::Plan> plan;
  std::unique_ptr<ml::KvStore> kv;
  std::vector<int32_t> pages;
  std::vector<float> logits;

  Runner(const char* path, int threads, int64_t context)
      : model(models::load_model(formats::open_gguf(path), 512)) {
    plan = backend->compile(*model.graph, {.threads = threads});
    kv = backend->allocate_kv(model.kv, context / ml::kPageTokens + 1);
    pages.resize(static_cast<size_t>(kv->pages()));
    std::iota(pages.begin(), pages.end(), 0);
  }

  // Seconds for `count` rows at `position`.
  double step(int64_t position, int64_t count) {
    std::vector<int32_t> ids(static_cast<size_t>(count)), positions(ids.size()),
        outputs(ids.size());
    for (size_t i = 0; i < ids.size(); ++i)
      ids[i] = static_cast<int32_t>((position + static_cast<int64_t>(i)) * 7919 % model.vocabulary);
    std::iota(positions.begin(), positions.end(), static_cast<int32_t>(position));
    std::iota(outputs.begin(), outputs.end(), 0);
    logits.resize(std::max(logits.size(), static_cast<size_t>(count * model.vocabulary)));
    const ml::SequenceRows rows = {
        .first_row = 0, .rows = count, .first_position = position, .pages = pages};
    const auto start = std::chrono::steady_clock::now();
    plan->run({ids, positions, outputs, {&rows, 1}}, *kv,
              std::span(logits).first(static_cast<size_t>(count * model.vocabulary)));
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3)
    return std::fprintf(stderr, "usage: %s FILE THREADS [DEPTH] [ROUNDS]\n", argv[0]), 2;
  try {
    const int64_t depth = argc > 3 ? std::atoll(argv[3]) : 256;
    const int rounds = argc > 4 ? std::atoi(argv[4]) : 30;
    Runner runner(argv[1], std::atoi(argv[2]), depth + 64);
    for (int64_t at = 0; at < depth; at += 16) runner.step(at, 16);
    std::array<std::vector<double>, kRows.size()> seconds, ratios;
    for (int round = 0; round < rounds; ++round)
      for (size_t i = 0; i < kRows.size(); ++i) {
        runner.step(depth, kRows[i]);  // as in a row of equal steps
        seconds[i].push_back(runner.step(depth, kRows[i]));
        ratios[i].push_back(seconds[i].back() / seconds[0].back());
      }
    std::printf("%6s %10s %8s\n", "rows", "ms", "ratio");
    for (size_t i = 0; i < kRows.size(); ++i)
      std::printf("%6lld %10.3f %8.2f\n", static_cast<long long>(kRows[i]),
                  median(seconds[i]) * 1e3, median(ratios[i]));
    return 0;
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
