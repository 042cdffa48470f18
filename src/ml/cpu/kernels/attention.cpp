// attention.cpp - softmax(q k) v over pages of the KV cache, in one pass (arXiv 2112.05682,
// 2205.14135). Oracle: ml/reference/attention.cpp.
//
// One head's part of a page of 32 positions: keys {16 positions, key_dim, 2}, then values
// {value_dim rounded up to 16, 32 positions}. Pages are taken in ascending order and a page that a
// query may not see changes nothing, so a query's result does not depend on its neighbours.

#include "ml/cpu/kernels/row_ops.h"
#include "ml/cpu/kernels/simd.h"

namespace cria::ml::cpu::CRIA_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kTile = 8;
#else
constexpr int kTile = 4;
#endif
constexpr int64_t kPage = 32;
constexpr float kNothing = -__builtin_inff();

CRIA_INLINE Floats load_element(const float* p) {
  return load(p);
}
CRIA_INLINE Floats load_element(const uint16_t* p) {
  return load_half(p);
}

// scores[q][position] for kCount queries and the page's 32 positions.
template <class T, int kCount>
[[gnu::noinline]] void page_scores(const float* const* queries, const T* keys, int64_t key_dim,
                                   float* scores) {
  for (int half = 0; half < 2; ++half, keys += key_dim * kLanes) {
    Floats acc[kCount];
    for (int q = 0; q < kCount; ++q) acc[q] = splat(0);
    for (int64_t d = 0; d < key_dim; ++d) {
      const Floats k = load_element(keys + d * kLanes);
      for (int q = 0; q < kCount; ++q) acc[q] = fma(k, splat(queries[q][d]), acc[q]);
    }
    for (int q = 0; q < kCount; ++q) store(scores + q * kPage + half * kLanes, acc[q]);
  }
}

// out[q] = out[q] * correction[q] + sum over positions of weight * value.
template <class T, int kCount>
[[gnu::noinline]] void page_values(const float* weights, const float* correction, const T* values,
                                   int64_t width, int64_t positions, float* const* out) {
  for (int64_t i = 0; i < width; i += kLanes) {
    Floats acc[kCount];
    for (int q = 0; q < kCount; ++q) acc[q] = load(out[q] + i) * splat(correction[q]);
    const T* v = values + i;
    for (int64_t position = 0; position < positions; ++position, v += width) {
      const Floats value = load_element(v);
      for (int q = 0; q < kCount; ++q)
        acc[q] = fma(value, splat(weights[q * kPage + position]), acc[q]);
    }
    for (int q = 0; q < kCount; ++q) store(out[q] + i, acc[q]);
  }
}

template <class T, int kCount = kTile>
CRIA_INLINE void scores_of(int64_t count, const float* const* queries, const T* keys,
                           int64_t key_dim, float* scores) {
  if (count == kCount) return page_scores<T, kCount>(queries, keys, key_dim, scores);
  if constexpr (kCount > 1) scores_of<T, kCount - 1>(count, queries, keys, key_dim, scores);
}

template <class T, int kCount = kTile>
CRIA_INLINE void values_of(int64_t count, const float* weights, const float* correction,
                           const T* values, int64_t width, int64_t positions, float* const* out) {
  if (count == kCount)
    return page_values<T, kCount>(weights, correction, values, width, positions, out);
  if constexpr (kCount > 1)
    values_of<T, kCount - 1>(count, weights, correction, values, width, positions, out);
}

// Turns a query's 32 scores into weights; updates its maximum and total; returns the correction of
// what was summed before.
CRIA_INLINE float soften(float* scores, int64_t first, int64_t last, float& maximum, float& total) {
  const bool whole = first <= 0 && last >= kPage - 1;
  if (!whole)
    for (int64_t i = 0; i < kPage; ++i)
      if (i < first || i > last) scores[i] = kNothing;
  const Floats low = load(scores), high = load(scores + kLanes);
  const float page_maximum = max_lane(max(low, high));
  const float both = page_maximum > maximum ? page_maximum : maximum;
  if (both == kNothing) {
    store(scores, splat(0));
    store(scores + kLanes, splat(0));
    return 1.0f;
  }
  float correction_lanes[kLanes];
  store(correction_lanes, exp(splat(maximum == kNothing ? 0 : maximum - both)));
  const float correction = maximum == kNothing ? 0.0f : correction_lanes[0];
  Floats a = exp(low - splat(both)), b = exp(high - splat(both));
  store(scores, a);
  store(scores + kLanes, b);
  if (!whole) {
    for (int64_t i = 0; i < kPage; ++i)
      if (i < first || i > last) scores[i] = 0;
    a = load(scores);
    b = load(scores + kLanes);
  }
  total = total * correction + sum(a + b);
  maximum = both;
  return correction;
}

template <class T>
CRIA_INLINE void attend_page(const AttentionArgs& a, int64_t page_start, float* correction) {
  const auto* keys = reinterpret_cast<const T*>(a.pages[page_start / kPage]);
  const T* values = keys + a.key_dim * kPage;
  const int64_t width = (a.value_dim + kLanes - 1) / kLanes * kLanes;
  const int64_t left = a.end_position - page_start;
  for (int64_t q = 0; q < a.count; q += kTile) {
    const int64_t count = a.count - q < kTile ? a.count - q : kTile;
    scores_of<T>(count, a.queries + q, keys, a.key_dim, a.scratch + q * kPage);
  }
  if (a.softcap > 0)
    for (int64_t q = 0; q < a.count; ++q)
      softcap(a.scratch + q * kPage, a.scratch + q * kPage, a.softcap, kPage);
  for (int64_t q = 0; q < a.count; ++q) {
    const int64_t first = a.window > 0 ? a.last[q] - a.window + 1 - page_start : 0;
    correction[q] =
        soften(a.scratch + q * kPage, first, a.last[q] - page_start, a.maximum[q], a.total[q]);
  }
  for (int64_t q = 0; q < a.count; q += kTile) {
    const int64_t count = a.count - q < kTile ? a.count - q : kTile;
    values_of<T>(count, a.scratch + q * kPage, correction + q, values, width,
                 left < kPage ? left : kPage, a.out + q);
  }
}

template <class T>
CRIA_INLINE void attend(const AttentionArgs& a) {
  float correction[kGroup];
  for (int64_t q = 0; q < a.count; ++q) {
    a.maximum[q] = kNothing;
    a.total[q] = 0;
    for (int64_t i = 0; i < a.value_dim; i += kLanes) store(a.out[q] + i, splat(0));
  }
  for (int64_t start = a.first_position; start < a.end_position; start += kPage)
    attend_page<T>(a, start, correction);
}

}  // namespace

void attention_f16(const AttentionArgs& args) noexcept {
  attend<uint16_t>(args);
}
void attention_f32(const AttentionArgs& args) noexcept {
  attend<float>(args);
}

void merge_attention(float* out, int64_t n, const float* sums, int64_t stride, const float* maxima,
                     const float* totals, int64_t parts) noexcept {
  float maximum = kNothing;
  for (int64_t i = 0; i < parts; ++i) maximum = maxima[i] > maximum ? maxima[i] : maximum;
  float total = 0;
  for (int64_t i = 0; i < n; i += kLanes) store_first(out + i, splat(0), n - i);
  for (int64_t part = 0; part < parts; ++part) {
    if (maxima[part] == kNothing) continue;
    const Floats weight = exp(splat(maxima[part] - maximum));
    float lanes[kLanes];
    store(lanes, weight);
    total = total + lanes[0] * totals[part];
    for (int64_t i = 0; i < n; i += kLanes) {
      const Floats before = load_first(out + i, n - i, 0);
      store_first(out + i, fma(load_first(sums + part * stride + i, n - i, 0), weight, before),
                  n - i);
    }
  }
  if (total > 0) scale(out, out, 1.0f / total, n);
}

}  // namespace cria::ml::cpu::CRIA_ISA
