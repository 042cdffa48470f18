#include "ml/cpu/probe.h"

#include "ml/cpu/arena.h"
#include "ml/cpu/kernels.h"
#include "ml/cpu/pool.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace cria::ml::cpu {
namespace {

constexpr int kRounds = 5;  // the best counts: everything else is disturbance

template <class Body>
double best_seconds(Pool& pool, const Body& body) {
  double best = 1e9;
  for (int i = 0; i < kRounds; ++i) {
    const auto start = std::chrono::steady_clock::now();
    pool.run(body);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count());
  }
  return best;
}

}  // namespace

MachineLimits measure_limits(int threads, int64_t bytes) {
  const Kernels& table = kernels();
  Pool pool(threads);
  const Arena memory(bytes);
  const int64_t part = bytes / threads / 64 * 64;
  const auto own = [&](int thread) { return memory.data() + thread * part; };
  pool.run([&](int thread) { std::memset(own(thread), 0, static_cast<size_t>(part)); });
  MachineLimits limits = {};
  limits.read_bytes = static_cast<double>(part * threads) /
                      best_seconds(pool, [&](int thread) { table.probe_read(own(thread), part); });
  const auto rate = [&](auto probe) {
    constexpr int64_t kProbeRounds = 1 << 18;
    const int64_t ops = probe(kProbeRounds);
    return static_cast<double>(ops * threads) /
           best_seconds(pool, [&](int) { probe(kProbeRounds); });
  };
  limits.int8_ops = rate(table.probe_int8);
  limits.float_ops = rate(table.probe_float);
  limits.bf16_ops = rate(table.probe_bf16);
  return limits;
}

}  // namespace cria::ml::cpu
