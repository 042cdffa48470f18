#include "ml/cpu/pool.h"

#include <doctest/doctest.h>

#include <vector>

namespace cria::ml::cpu {
namespace {

TEST_CASE("shared work is done exactly once per phase, also with more threads than cores") {
  for (const int threads : {1, 2, 3, 5}) {
    CAPTURE(threads);
    Pool pool(threads);
    constexpr int64_t kUnits = 37, kPhases = 50;
    for (int repeat = 0; repeat < 20; ++repeat) {
      std::vector<std::atomic<int>> done(kUnits * kPhases);
      std::atomic<int> too_early = 0;
      pool.run([&](int thread) {
        for (int64_t phase = 0; phase < kPhases; ++phase) {
          pool.share(thread, phase, kUnits, 3, [&](int64_t first, int64_t last) {
            for (int64_t i = first; i < last; ++i) {
              ++done[static_cast<size_t>(phase * kUnits + i)];
              // All of the phase before must be over.
              if (phase > 0 && done[static_cast<size_t>((phase - 1) * kUnits + i)] != 1)
                ++too_early;
            }
          });
          pool.barrier(thread);
        }
      });
      CHECK(too_early == 0);
      int wrong = 0;
      for (const auto& count : done) wrong += count != 1 ? 1 : 0;
      CHECK(wrong == 0);
    }
  }
}

}  // namespace
}  // namespace cria::ml::cpu
