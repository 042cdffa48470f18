// ops.h - what every op means, as plain loops over floats. The oracle that faster backends are held
// to.
//
// Arrays are row-major with the fastest dimension first in the text: {k, n} is n rows of k values.
// Lengths follow from the spans, which the graph has checked. Sums run in one fixed order per
// result, so a row's values do not depend on how many rows are computed together.
#pragma once

#include "ml/backend.h"
#include "ml/graph.h"
#include "ml/reference/kv_store.h"

#include <cstdint>
#include <span>

namespace cria::ml::reference {

using Input = std::span<const float>;
using Output = std::span<float>;

// Sum of a[i] * b[i], i < n.
float dot(const float* a, const float* b, int64_t n) noexcept;
// weight {k, r}, x {k, n} -> y {r, n}.
void matmul(Input weight, Input x, int64_t k, Output y) noexcept;
// Row ids[i] of table {width, ...} -> row i of y.
void gather_rows(Input table, std::span<const int32_t> ids, Output y) noexcept;

// b has the size of a, or is one row that is repeated.
void add(Input a, Input b, Output y) noexcept;
void multiply(Input a, Input b, Output y) noexcept;
void scale(Input x, float factor, Output y) noexcept;
void silu(Input x, Output y) noexcept;      // x / (1 + exp(-x))
void gelu(Input x, Output y) noexcept;      // tanh approximation
void gelu_erf(Input x, Output y) noexcept;  // x * (1 + erf(x / sqrt(2))) / 2
void softcap(Input x, float cap, Output y) noexcept;

// x / sqrt(mean(x^2) + eps) * weight over rows of `width`; an empty weight counts as ones.
void rms_norm(Input x, Input weight, int64_t width, float eps, Output y) noexcept;

// (x - mean) / sqrt(variance + eps) over rows of `width`.
void layer_norm(Input x, int64_t width, float eps, Output y) noexcept;

// Turns the first spec.dims values of every head in place: x is {head_dim, heads} of one token,
// moved by `distance` positions. `magnitude` multiplies cosine and sine.
struct Rotation {
  const RopeSpec& spec;
  Input factors;  // {dims / 2} divisors, or empty
  double distance;
  double magnitude;
};
void rotate(Output heads, int64_t head_dim, const Rotation& rotation) noexcept;

// q {key_dim, heads, n}, k {key_dim, kv_heads, n}, v {value_dim, kv_heads, n}: stores k and v of
// the rows in the cache, then attends over it -> y {value_dim, heads, n}.
struct AttentionInput {
  Input q, k, v;
  std::span<const SequenceRows> sequences;
  int64_t heads;
};
void attention(const AttentionInput& in, const AttentionSpec& spec, FloatKvStore& kv,
               Output y) noexcept;

}  // namespace cria::ml::reference
