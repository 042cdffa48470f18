#include "ml/reference/ops.h"

#include <cmath>

namespace cria::ml::reference {

void rms_norm(Input x, Input weight, int64_t width, float eps, Output y) noexcept {
  const auto w = static_cast<size_t>(width);
  for (size_t row = 0; row < x.size(); row += w) {
    double squares = 0;
    for (size_t i = 0; i < w; ++i) squares += double{x[row + i]} * double{x[row + i]};
    const auto factor =
        static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(width) + double{eps}));
    for (size_t i = 0; i < w; ++i)
      y[row + i] = x[row + i] * factor * (weight.empty() ? 1.0f : weight[i]);
  }
}

void layer_norm(Input x, int64_t width, float eps, Output y) noexcept {
  const auto w = static_cast<size_t>(width);
  for (size_t row = 0; row < x.size(); row += w) {
    double total = 0, squares = 0;
    for (size_t i = 0; i < w; ++i) total += double{x[row + i]};
    const double mean = total / static_cast<double>(width);
    for (size_t i = 0; i < w; ++i) {
      const double distance = double{x[row + i]} - mean;
      squares += distance * distance;
    }
    const double factor = 1.0 / std::sqrt(squares / static_cast<double>(width) + double{eps});
    for (size_t i = 0; i < w; ++i)
      y[row + i] = static_cast<float>((double{x[row + i]} - mean) * factor);
  }
}

}  // namespace cria::ml::reference
