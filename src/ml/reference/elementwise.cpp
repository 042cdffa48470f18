#include "ml/reference/ops.h"

#include <cmath>

namespace cria::ml::reference {

void add(Input a, Input b, Output y) noexcept {
  for (size_t i = 0; i < a.size(); ++i) y[i] = a[i] + b[i % b.size()];
}

void multiply(Input a, Input b, Output y) noexcept {
  for (size_t i = 0; i < a.size(); ++i) y[i] = a[i] * b[i % b.size()];
}

void scale(Input x, float factor, Output y) noexcept {
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] * factor;
}

void silu(Input x, Output y) noexcept {
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] / (1.0f + std::exp(-x[i]));
}

void gelu(Input x, Output y) noexcept {
  constexpr float kRootTwoOverPi = 0.7978845608028654f;
  for (size_t i = 0; i < x.size(); ++i) {
    const float inner = kRootTwoOverPi * (x[i] + 0.044715f * x[i] * x[i] * x[i]);
    y[i] = 0.5f * x[i] * (1.0f + std::tanh(inner));
  }
}

void gelu_erf(Input x, Output y) noexcept {
  constexpr double kRootHalf = 0.70710678118654752;
  for (size_t i = 0; i < x.size(); ++i) {
    const double v = x[i];
    y[i] = static_cast<float>(0.5 * v * (1.0 + std::erf(v * kRootHalf)));
  }
}

void softcap(Input x, float cap, Output y) noexcept {
  for (size_t i = 0; i < x.size(); ++i) y[i] = cap * std::tanh(x[i] / cap);
}

}  // namespace cria::ml::reference
