// step_cost.cpp - what a step of several rows of one sequence costs against a step of one row.
//
//   bench_step_cost FILE THREADS [DEPTH] [ROUNDS]
//
// All rows yield logits, as in a step that verifies drafted tokens. The numbers of rows take turns,
// so that noise of the machine meets all of them alike. Prints the median milliseconds and the
// median of the ratios of each round.
#include "measure.h"
#include "plan_runner.h"

#include <array>
#include <cstdio>
#include <cstdlib>

namespace {

using namespace cria;

constexpr std::array<int64_t, 9> kRows = {1, 2, 3, 4, 5, 6, 8, 12, 16};

double time_of(PlanRunner& runner, int64_t position, int64_t count) {
  const double start = seconds_now();
  runner.step({.position = position, .count = count}, PlanRunner::Logits::kAll);
  return seconds_now() - start;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3)
    return std::fprintf(stderr, "usage: %s FILE THREADS [DEPTH] [ROUNDS]\n", argv[0]), 2;
  try {
    const int64_t depth = argc > 3 ? std::atoll(argv[3]) : 256;
    const int rounds = argc > 4 ? std::atoi(argv[4]) : 30;
    PlanRunner runner(argv[1], {.threads = std::atoi(argv[2]), .context = depth + 64});
    runner.prompt({.count = depth});
    std::array<std::vector<double>, kRows.size()> seconds, ratios;
    for (int round = 0; round < rounds; ++round)
      for (size_t i = 0; i < kRows.size(); ++i) {
        time_of(runner, depth, kRows[i]);  // as in a row of equal steps
        seconds[i].push_back(time_of(runner, depth, kRows[i]));
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
