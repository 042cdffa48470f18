#include "ml/reference/ops.h"

#include <algorithm>
#include <array>

namespace cria::ml::reference {

float dot(const float* a, const float* b, int64_t n) noexcept {
  // Sixteen sums side by side, so that the compiler can use vector registers without reordering.
  constexpr int64_t kLanes = 16;
  std::array<float, kLanes> sums{};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane)
      sums[static_cast<size_t>(lane)] += a[i + lane] * b[i + lane];
  float total = 0;
  for (; i < n; ++i) total += a[i] * b[i];
  for (const float sum : sums) total += sum;
  return total;
}

void matmul(Input weight, Input x, int64_t k, Output y) noexcept {
  const int64_t outputs = static_cast<int64_t>(weight.size()) / k;
  const int64_t rows = static_cast<int64_t>(x.size()) / k;
  for (int64_t r = 0; r < outputs; ++r)  // outermost: a weight row is read from memory once
    for (int64_t n = 0; n < rows; ++n)
      y[static_cast<size_t>(n * outputs + r)] = dot(weight.data() + r * k, x.data() + n * k, k);
}

void gather_rows(Input table, std::span<const int32_t> ids, Output y) noexcept {
  if (ids.empty()) return;
  const size_t width = y.size() / ids.size();
  for (size_t i = 0; i < ids.size(); ++i)
    std::ranges::copy(table.subspan(static_cast<size_t>(ids[i]) * width, width),
                      y.begin() + static_cast<int64_t>(i * width));
}

}  // namespace cria::ml::reference
