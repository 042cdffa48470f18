// kernels.cpp - speed of the matmul kernels alone, by format and number of columns, on one core.
//
//   bench_kernels [K] [ROWS]     default 2048 x 8192
//
// Prints GB/s of packed weights for one column and Gop/s (2 per multiply-add) for more.
#include "ml/cpu/arena.h"
#include "ml/cpu/panels.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace cria::ml::cpu {
namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

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
    const double start = seconds();
    k.matmul[static_cast<size_t>(kind)](args);
    best = std::min(best, seconds() - start);
  }
  return best;
}

}  // namespace
}  // namespace cria::ml::cpu

int main(int argc, char** argv) {
  using namespace cria::ml::cpu;
  const int64_t width = argc > 1 ? std::atoll(argv[1]) : 2048;
  const int64_t rows = argc > 2 ? std::atoll(argv[2]) : 8192;
  constexpr const char* kNames[] = {"F32",  "F16",  "BF16", "Q4_0", "Q4_1",   "Q5_0",   "Q5_1",
                                    "Q8_0", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4",
                                    "Q2_K", "Q3_K", "TQ", "IQ2_XXS", "IQ2", "IQ3_XXS", "IQ3_S", "IQ1"};
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
