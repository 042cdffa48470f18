// row_ops.cpp - kernels over one row of activations. Oracle: ml/reference.

#include "ml/cpu/kernels/row_ops.h"

#include "ml/cpu/kernels/simd.h"

namespace cria::ml::cpu::CRIA_ISA {
namespace {

template <class Body>
CRIA_INLINE void for_lanes(int64_t n, Body body) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) body(i, int64_t{kLanes});
  if (i < n) body(i, n - i);
}

// tanh(x) = 1 - 2 / (e^2x + 1); exp is clamped, so large |x| give exactly +-1.
CRIA_INLINE Floats tanh(Floats x) {
  return splat(1.0f) - splat(2.0f) / (exp(x + x) + splat(1.0f));
}

}  // namespace

void rms_norm(float* y, const float* x, const float* weight, int64_t n, float eps) noexcept {
  Floats squares = splat(0);
  for_lanes(n, [&](int64_t i, int64_t count) {
    const Floats v = load_first(x + i, count, 0);
    squares = fma(v, v, squares);
  });
  const float mean = sum(squares) / static_cast<float>(n);
  const Floats factor = splat(1.0f / __builtin_sqrtf(mean + eps));
  for_lanes(n, [&](int64_t i, int64_t count) {
    Floats v = load_first(x + i, count, 0) * factor;
    if (weight != nullptr) v = v * load_first(weight + i, count, 0);
    store_first(y + i, v, count);
  });
}

// The second pass sums squares of distances from the mean: without the cancellation of one pass.
void layer_norm(float* y, const float* x, int64_t n, float eps) noexcept {
  Floats total = splat(0), squares = splat(0);
  for_lanes(n, [&](int64_t i, int64_t count) { total = total + load_first(x + i, count, 0); });
  const float mean = sum(total) / static_cast<float>(n);
  const auto distance = [&](int64_t i, int64_t count) {
    return load_first(x + i, count, mean) - splat(mean);
  };
  for_lanes(n, [&](int64_t i, int64_t count) {
    const Floats v = distance(i, count);
    squares = fma(v, v, squares);
  });
  const float variance = sum(squares) / static_cast<float>(n);
  const Floats factor = splat(1.0f / __builtin_sqrtf(variance + eps));
  for_lanes(
      n, [&](int64_t i, int64_t count) { store_first(y + i, distance(i, count) * factor, count); });
}

void add(float* y, const float* a, const float* b, int64_t n) noexcept {
  for_lanes(n, [&](int64_t i, int64_t count) {
    store_first(y + i, load_first(a + i, count, 0) + load_first(b + i, count, 0), count);
  });
}

void mul(float* y, const float* a, const float* b, int64_t n) noexcept {
  for_lanes(n, [&](int64_t i, int64_t count) {
    store_first(y + i, load_first(a + i, count, 0) * load_first(b + i, count, 0), count);
  });
}

void scale(float* y, const float* x, float factor, int64_t n) noexcept {
  for_lanes(n, [&](int64_t i, int64_t count) {
    store_first(y + i, load_first(x + i, count, 0) * splat(factor), count);
  });
}

void silu(float* y, const float* x, int64_t n) noexcept {
  for_lanes(n, [&](int64_t i, int64_t count) {
    const Floats v = load_first(x + i, count, 0);
    store_first(y + i, v / (splat(1.0f) + exp(splat(0) - v)), count);
  });
}

// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
void gelu(float* y, const float* x, int64_t n) noexcept {
  for_lanes(n, [&](int64_t i, int64_t count) {
    const Floats v = load_first(x + i, count, 0);
    const Floats cubic = fma(v * v * v, splat(0.044715f), v);
    const Floats t = tanh(cubic * splat(0.79788456f));
    store_first(y + i, splat(0.5f) * v * (splat(1.0f) + t), count);
  });
}

// 0.5 (x + |x| erf(|x| / sqrt 2)), with erf by Abramowitz and Stegun 7.1.26: within 1.5e-7, and
// rounding.
void gelu_erf(float* y, const float* x, int64_t n) noexcept {
  for_lanes(n, [&](int64_t i, int64_t count) {
    const Floats v = load_first(x + i, count, 0), size = abs(v);
    const Floats z = size * splat(0.70710678f);
    const Floats t = splat(1.0f) / fma(z, splat(0.3275911f), splat(1.0f));
    Floats p = splat(1.061405429f);
    p = fma(p, t, splat(-1.453152027f));
    p = fma(p, t, splat(1.421413741f));
    p = fma(p, t, splat(-0.284496736f));
    p = fma(p, t, splat(0.254829592f));
    const Floats erf = splat(1.0f) - p * t * exp(splat(0) - z * z);
    store_first(y + i, splat(0.5f) * fma(size, erf, v), count);
  });
}

void softcap(float* y, const float* x, float cap, int64_t n) noexcept {
  const Floats inverse = splat(1.0f / cap);
  for_lanes(n, [&](int64_t i, int64_t count) {
    store_first(y + i, splat(cap) * tanh(load_first(x + i, count, 0) * inverse), count);
  });
}

void rope(float* y, const float* x, const RopeArgs& args) noexcept {
  const int64_t half = args.dims / 2;
  const int64_t step = args.halves ? 1 : 2, partner = args.halves ? half : 1;
  for (int64_t head = 0; head < args.heads; ++head, x += args.head_dim, y += args.head_dim) {
    for (int64_t i = 0; i < half; ++i) {
      const float cos = args.table[2 * i], sin = args.table[2 * i + 1];
      const float a = x[i * step], b = x[i * step + partner];
      y[i * step] = a * cos - b * sin;
      y[i * step + partner] = a * sin + b * cos;
    }
    for (int64_t i = args.dims; i < args.head_dim; ++i) y[i] = x[i];
  }
}

void to_half(uint16_t* y, const float* x, int64_t n) noexcept {
  for_lanes(n, [&](int64_t i, int64_t count) {
    uint16_t lanes[kLanes];
    store_half(lanes, load_first(x + i, count, 0));
    __builtin_memcpy(y + i, lanes, static_cast<size_t>(count) * 2);
  });
}

void quantize(const float* x, int64_t k, uint8_t* group, int64_t columns, int64_t column) noexcept {
  for (int64_t i = 0; i < k; i += kBlock, group += column_block_bytes(columns)) {
    const Floats low = load(x + i), high = load(x + i + kLanes);
    const float largest = max_lane(max(abs(low), abs(high)));
    const Floats inverse = splat(largest > 0 ? 127.0f / largest : 0.0f);
    // The limits matter for NaN alone, which then goes on in the scale and not as a wild integer.
    const auto whole = [&](Floats v) {
      return round(min(max(v * inverse, splat(-127)), splat(127)));
    };
    const Ints a = whole(low), b = whole(high);
    store_i8(reinterpret_cast<int8_t*>(group + column * kBlock), a);
    store_i8(reinterpret_cast<int8_t*>(group + column * kBlock + kLanes), b);
    const Floats fa = to_floats(a), fb = to_floats(b);
    // The scale that leaves the least squared error for these integers; largest / 127 leaves 3 %
    // more.
    const float squares = sum(fma(fa, fa, fb * fb));
    const float scale = squares > 0 ? sum(fma(low, fa, high * fb)) / squares : 0.0f;
    const float first = sum(fa);  // whole numbers below 2^24: exact in any order
    const float total = first + sum(fb);
    const int32_t sums[2] = {static_cast<int32_t>(total), static_cast<int32_t>(first)};
    const float scaled = scale * total;
    uint8_t* tail = group + columns * kBlock + column * 4;
    __builtin_memcpy(tail, &scale, 4);
    __builtin_memcpy(tail + columns * 4, &scaled, 4);
    __builtin_memcpy(tail + columns * 8, &sums[0], 4);
    __builtin_memcpy(tail + columns * 12, &sums[1], 4);
  }
}

}  // namespace cria::ml::cpu::CRIA_ISA
