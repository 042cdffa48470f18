// kernels.cpp - speed of the matmul kernels alone, by format and number of columns, on one core.
//
//   bench_kernels [K] [ROWS]     default 2048 x 8192
//   bench_kernels --check        are they as many times faster than a plain loop as they were?
//   bench_kernels attention [HEAD_DIM]     default 64
//
// Prints GB/s of packed weights for one column and Gop/s (2 per multiply-add) for more. Of
// attention: GB/s of keys and values in memory for one query, Gop/s for pages in the cache. --check
// exits with 1 when a kernel fell below its floor: half of the ratio to the plain loop that was
// measured when the floor was taken, or when a measured limit of the machine cannot be. Both sides
// are measured in turn, and only their ratio counts.
#include "measure.h"

#include "ml/cpu/arena.h"
#include "ml/cpu/kv_store.h"
#include "ml/cpu/panels.h"
#include "ml/cpu/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

namespace cria::ml::cpu {
namespace {

constexpr const char* kNames[] = {"F32",    "F16",     "BF16",  "Q4_0", "Q4_1", "Q5_0",
                                  "Q5_1",   "Q8_0",    "Q4_K",  "Q5_K", "Q6_K", "IQ4_NL",
                                  "IQ4_XS", "MXFP4",   "Q2_K",  "Q3_K", "TQ",   "IQ2_XXS",
                                  "IQ2",    "IQ3_XXS", "IQ3_S", "IQ1"};
static_assert(std::size(kNames) == kPanelKinds);

double best_time(const Kernels& k, PanelKind kind, const Arena& weights, int64_t width,
                 int64_t rows, int64_t columns) {
  std::vector<float> x(static_cast<size_t>(columns * width));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 17) - 8.0f;
  std::vector<uint8_t> quantized(static_cast<size_t>(quantized_bytes(columns + kGroup, width)));
  for (int64_t c = 0; c < columns; ++c)
    k.quantize(x.data() + c * width, width,
               quantized.data() + c / kGroup * quantized_bytes(kGroup, width),
               std::min(kGroup, columns - c / kGroup * kGroup), c % kGroup);
  std::vector<float> y(static_cast<size_t>(columns * rows));
  const bool floats = takes_floats(kind);
  const MatmulArgs args = {.panels = weights.data(),
                           .panel_bytes = panel_bytes(kind, width),
                           .first_panel = 0,
                           .last_panel = rows / kPanelRows,
                           .rows = rows,
                           .k = width,
                           .x = floats ? static_cast<const void*>(x.data()) : quantized.data(),
                           .x_stride = width,
                           .columns = columns,
                           .y = y.data(),
                           .y_stride = rows};
  double best = 1e9;
  for (int i = 0; i < 7; ++i) {
    const double start = seconds_now();
    k.matmul[static_cast<size_t>(kind)](args);
    best = std::min(best, seconds_now() - start);
  }
  return best;
}

// Seconds of a plain loop over 1024 x 1024 floats, which compilers leave as it is: one addition
// after another.
double plain_time() {
  constexpr size_t kSide = 1024;
  const std::vector<float> w(kSide * kSide, 0.5f), x(kSide, 0.25f);
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    const double start = seconds_now();
    float total = 0;
    for (size_t row = 0; row < kSide; ++row)
      for (size_t k = 0; k < kSide; ++k) total += w[row * kSide + k] * x[k];
    best = std::min(best, total > 0 ? seconds_now() - start : 1e9);
  }
  return best / static_cast<double>(2 * kSide * kSide);
}

struct Floor {
  const char* kernels;
  PanelKind kind;
  int64_t columns;
  double times;  // faster than the plain loop, an operation
};
constexpr Floor kFloors[] = {
    {"avx2", PanelKind::kQ4_0, 1, 20},
    {"avx2", PanelKind::kQ4_0, 128, 35},
    {"avx2", PanelKind::kQ8_0, 1, 15},
    {"avx2", PanelKind::kQ8_0, 128, 17},
    {"avx2", PanelKind::kQ4_K, 1, 20},
    {"avx2", PanelKind::kQ4_K, 128, 32},
    {"avx2", PanelKind::kQ6_K, 1, 12},
    {"avx2", PanelKind::kQ6_K, 128, 24},
    {"avx2", PanelKind::kIQ2, 1, 9},
    {"avx2", PanelKind::kF16, 128, 12},
    {"avx512", PanelKind::kQ4_0, 1, 30},
    {"avx512", PanelKind::kQ4_0, 128, 50},
    {"avx512", PanelKind::kQ8_0, 1, 20},
    {"avx512", PanelKind::kQ8_0, 128, 50},
    {"avx512", PanelKind::kQ4_K, 1, 25},
    {"avx512", PanelKind::kQ4_K, 128, 45},
    {"avx512", PanelKind::kQ6_K, 1, 18},
    {"avx512", PanelKind::kQ6_K, 128, 38},
    {"avx512_bf16", PanelKind::kBF16, 128, 24},
    {"amx", PanelKind::kQ4_0, 1, 28},
    {"amx", PanelKind::kQ4_0, 128, 80},
    {"amx", PanelKind::kQ8_0, 1, 15},
    {"amx", PanelKind::kQ8_0, 128, 80},
    {"amx", PanelKind::kQ4_K, 1, 22},
    {"amx", PanelKind::kQ4_K, 128, 78},
    {"amx", PanelKind::kQ6_K, 1, 15},
    {"amx", PanelKind::kQ6_K, 128, 52},
};

// Whether the kernels in use are these, or these but for BF16.
bool has_kernels_of(std::string_view name) {
  const std::string_view used = kernels().name;
  return name == used || (name == "avx512" && used == "avx512_bf16") ||
         (name == "avx512_bf16" && used == "amx" && __builtin_cpu_supports("avx512bf16") != 0);
}

// Whether the measured limits can be true: a CPU without tiles multiplies four bytes where it
// multiplies a float at best, and two BF16. A loop that the compiler emptied is above that.
bool limits_are_possible() {
  const std::string_view used = kernels().name;
  if (used == "amx" || used == "scalar") return true;
  const MachineLimits limits = measure_limits(1, int64_t{64} << 20);
  const double bytes = limits.int8_ops / limits.float_ops,
               bf16 = limits.bf16_ops / limits.float_ops;
  fmt::print("limits: {:.1f} times the floats' for 8 bits, {:.1f} for BF16\n", bytes, bf16);
  return bytes < 5 && bf16 < 2.5;
}

int check() {
  constexpr int64_t kWidth = 1024, kRows = 2048;
  int below = 0, known = 0;
  for (const Floor& floor : kFloors) {
    if (!has_kernels_of(floor.kernels)) continue;
    ++known;
    const int64_t bytes = panel_bytes(floor.kind, kWidth) * (kRows / kPanelRows);
    const Arena weights(bytes + 64);
    std::memset(weights.data(), 0x2c, static_cast<size_t>(bytes));
    std::vector<double> times;
    for (int i = 0; i < 5; ++i) {
      const double plain = plain_time();
      const double ours = best_time(kernels(), floor.kind, weights, kWidth, kRows, floor.columns) /
                          static_cast<double>(2 * kWidth * kRows * floor.columns);
      times.push_back(plain / ours);
    }
    std::ranges::sort(times);
    const double best = times.back();  // other work on the machine only ever slows one down
    fmt::print("{:7} {:>4} columns: {:6.1f} times a plain loop, at least {}{}\n",
               kNames[static_cast<size_t>(floor.kind)], floor.columns, best, floor.times,
               best < floor.times ? "  BELOW" : "");
    below += best < floor.times ? 1 : 0;
  }
  if (known == 0) fmt::print("no floors are known for {} kernels\n", kernels().name);
  return below > 0 || !limits_are_possible() ? 1 : 0;
}

// One key/value head's pages and queries against all of them.
double attention_time(const Kernels& k, DType dtype, int64_t dim, int64_t pages, int64_t count) {
  CpuKvStore store({.layers = {{.kv_heads = 1, .key_dim = dim, .value_dim = dim}}, .dtype = dtype},
                   pages, k);
  const int64_t width = (dim + 31) / 32 * 32;
  std::vector<float> row(static_cast<size_t>(width));
  std::vector<const uint8_t*> heads;
  for (int32_t page = 0; page < pages; ++page) {
    heads.push_back(store.head(0, page, 0));
    for (int64_t slot = 0; slot < kPageTokens; ++slot) {
      for (size_t i = 0; i < row.size(); ++i)
        row[i] = static_cast<float>((i * 7 + static_cast<size_t>(slot)) % 17) * 0.02f - 0.16f;
      store.write(store.head(0, page, 0), store.layer(0), slot,
                  {.key = row.data(), .value = row.data()});
    }
  }
  std::vector<const float*> queries(static_cast<size_t>(count), row.data());
  std::vector<int64_t> last(queries.size(), pages * kPageTokens - 1);
  std::vector<float> sums(static_cast<size_t>(count * width)), maximum(queries.size()),
      total(queries.size()), scratch(static_cast<size_t>(count * kAttentionBlock));
  std::vector<uint8_t> quantized(static_cast<size_t>(quantized_bytes(count, width)));
  std::vector<float*> out;
  for (int64_t i = 0; i < count; ++i) out.push_back(sums.data() + i * width);
  const AttentionArgs args = {.queries = queries.data(),
                              .last = last.data(),
                              .count = count,
                              .key_dim = dim,
                              .value_dim = dim,
                              .first_position = 0,
                              .end_position = pages * kPageTokens,
                              .window = 0,
                              .softcap = 0,
                              .pages = heads.data(),
                              .out = out.data(),
                              .maximum = maximum.data(),
                              .total = total.data(),
                              .scratch = scratch.data(),
                              .quantized = quantized.data()};
  double best = 1e9;
  const double until = seconds_now() + 0.1;
  for (double start = seconds_now(); start < until; start = seconds_now()) {
    store.attend(args);
    best = std::min(best, seconds_now() - start);
  }
  return best;
}

void bench_attention(int64_t dim) {
  constexpr int64_t kCached = 16, kMemory = 1 << 14;
  fmt::print("{} kernels, heads of {}\n{:8}{:>12}{:>12}{:>10}{:>10}{:>10}{:>10}{:>10}\n",
             kernels().name, dim, "type", "1: GB/s", "4: GB/s", "1: Gop/s", "3", "4", "8", "16");
  for (const DType dtype : {DType::kF16, DType::kQ8_0, DType::kF32}) {
    const quant::DTypeInfo& type = quant::info(dtype);
    const double bytes = static_cast<double>(kMemory * kPageTokens * 2 * dim * type.block_bytes) /
                         static_cast<double>(type.block_elements);
    fmt::print("{:8}", type.name);
    for (const int64_t count : {1, 4})
      fmt::print("{:12.1f}", bytes / attention_time(kernels(), dtype, dim, kMemory, count) / 1e9);
    for (const int64_t count : {1, 3, 4, 8, 16})
      fmt::print("{:10.1f}", 4.0 * static_cast<double>(kCached * kPageTokens * dim * count) /
                                 attention_time(kernels(), dtype, dim, kCached, count) / 1e9);
    fmt::print("\n");
  }
}

}  // namespace
}  // namespace cria::ml::cpu

int main(int argc, char** argv) {
  using namespace cria::ml::cpu;
  if (argc > 1 && std::string_view(argv[1]) == "--check") return check();
  if (argc > 1 && std::string_view(argv[1]) == "attention")
    return bench_attention(argc > 2 ? std::atoll(argv[2]) : 64), 0;
  const int64_t width = argc > 1 ? std::atoll(argv[1]) : 2048;
  const int64_t rows = argc > 2 ? std::atoll(argv[2]) : 8192;
  fmt::print("{} kernels, {} x {}\n{:8}{:>12}{:>10}{:>10}{:>10}{:>10}\n", kernels().name, width,
             rows, "type", "1: GB/s", "1: Gop/s", "4", "8", "128");
  for (int i = 0; i < kPanelKinds; ++i) {
    const auto kind = static_cast<PanelKind>(i);
    const int64_t bytes = panel_bytes(kind, width) * (rows / kPanelRows);
    const Arena weights(bytes + 64);
    std::memset(weights.data(), 0x2c, static_cast<size_t>(bytes));  // halves of 0.07: no denormals
    fmt::print("{:8}", kNames[i]);
    for (const int64_t columns : {1, 4, 8, 128}) {
      const double time = best_time(kernels(), kind, weights, width, rows, columns);
      if (columns == 1) fmt::print("{:12.1f}", static_cast<double>(bytes) / time / 1e9);
      fmt::print("{:10.0f}", 2.0 * static_cast<double>(width * rows * columns) / time / 1e9);
    }
    fmt::print("\n");
  }
  return 0;
}
