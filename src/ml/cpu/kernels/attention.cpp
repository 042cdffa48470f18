// attention.cpp - softmax(q k) v over pages of the KV cache, in one pass (arXiv 2112.05682,
// 2205.14135). Oracle: ml/reference/attention.cpp. Layout of the pages: ml/cpu/kv_store.h.
//
// Pages are taken in blocks of four, always at the same positions, in ascending order, and what a
// query may not see changes nothing, so a query's result does not depend on its neighbours.

#include "ml/cpu/kernels/row_ops.h"
#include "ml/cpu/kernels/simd.h"

namespace cria::ml::cpu::CRIA_ISA {
namespace {

// Queries at once, and sums in registers at once: few queries take more lanes, because a single
// chain of additions would wait for itself.
#if defined(__AVX512F__)
constexpr int kTile = 8, kSums = 16;
#else
constexpr int kTile = 6, kSums = 6;
#endif
template <int kCount>
constexpr bool kBoth = 2 * kCount <= kSums;
constexpr int64_t kPage = 32;
constexpr float kNothing = -__builtin_inff();

CRIA_INLINE Floats load_element(const float* p) {
  return load(p);
}
CRIA_INLINE Floats load_element(const uint16_t* p) {
  return load_half(p);
}
CRIA_INLINE Floats load_element(const int8_t* p) {
  return to_floats(load_i8(p));
}

// Calls body with the constant `count`, which is 1 to kMost.
template <int kMost = kTile, class Body>
CRIA_INLINE void with_count(int64_t count, const Body& body) {
  if constexpr (kMost > 1)
    if (count < kMost) return with_count<kMost - 1>(count, body);
  body.template operator()<kMost>();
}

// The pages of one block that somebody may see.
struct Block {
  const uint8_t* const* pages;
  int64_t count;
  int64_t positions;  // of all these pages; the last may not be full
};

// Keeps the compiler from holding what it loads for one sum until the next, in registers it lacks.
CRIA_INLINE void forget_loads() {
  __asm__ volatile("" ::: "memory");
}

// scores[q][position] for kCount queries and a page's 32 positions.
template <class T, int kCount>
[[gnu::noinline]] void page_scores(const float* const* queries, const T* keys, int64_t key_dim,
                                   float* scores) {
  constexpr int kHalves = kBoth<kCount> ? 2 : 1;
  for (int half = 0; half < 2; half += kHalves, keys += kHalves * kLanes) {
    Floats acc[kCount][kHalves];
    for (int q = 0; q < kCount; ++q)
      for (int h = 0; h < kHalves; ++h) acc[q][h] = splat(0);
    for (int64_t d = 0; d < key_dim; ++d)
      for (int h = 0; h < kHalves; ++h) {
        const Floats k = load_element(keys + d * kPage + h * kLanes);
        for (int q = 0; q < kCount; ++q) acc[q][h] = fma(k, splat(queries[q][d]), acc[q][h]);
        if constexpr (2 * kCount == kSums) forget_loads();
      }
    for (int q = 0; q < kCount; ++q)
      for (int h = 0; h < kHalves; ++h)
        store(scores + q * kAttentionBlock + (half + h) * kLanes, acc[q][h]);
  }
}

// out[q] = out[q] * correction[q] + sum over positions of weight * value, for 16 * kChunks values.
// The first page's are at `offset`, those of the next position `stride` elements on.
template <class T, int kCount, int kChunks>
CRIA_INLINE void block_chunks(const Block& block, int64_t offset, int64_t stride,
                              const float* weights, const float* correction, float* const* out) {
  Floats acc[kCount][kChunks];
  for (int q = 0; q < kCount; ++q)
    for (int c = 0; c < kChunks; ++c) acc[q][c] = load(out[q] + c * kLanes) * splat(correction[q]);
  for (int64_t page = 0; page < block.count; ++page) {
    const T* v = reinterpret_cast<const T*>(block.pages[page] + offset);
    const float* w = weights + page * kPage;
    const int64_t left = block.positions - page * kPage;
    const float* const end = w + (left < kPage ? left : kPage);
    for (; w < end; ++w, v += stride)
      for (int c = 0; c < kChunks; ++c) {
        const Floats value = load_element(v + c * kLanes);
        for (int q = 0; q < kCount; ++q)
          acc[q][c] = fma(value, splat(w[q * kAttentionBlock]), acc[q][c]);
        if constexpr (2 * kCount == kSums) forget_loads();
      }
  }
  for (int q = 0; q < kCount; ++q)
    for (int c = 0; c < kChunks; ++c) store(out[q] + c * kLanes, acc[q][c]);
}

template <class T, int kCount>
[[gnu::noinline]] void block_values(const Block& block, int64_t offset, int64_t stride,
                                    const float* weights, const float* correction,
                                    float* const* out, int64_t width) {
  constexpr int kChunks = kCount == 1 ? 4 : kBoth<kCount> ? 2 : 1;
  float* here[kCount];
  for (int q = 0; q < kCount; ++q) here[q] = out[q];
  for (int64_t i = 0; i < width;) {
    const bool whole = width - i >= kChunks * kLanes;
    const auto bytes = offset + i * static_cast<int64_t>(sizeof(T));
    if (whole)
      block_chunks<T, kCount, kChunks>(block, bytes, stride, weights, correction, here);
    else
      block_chunks<T, kCount, 1>(block, bytes, stride, weights, correction, here);
    const int64_t done = whole ? kChunks * kLanes : kLanes;
    for (int q = 0; q < kCount; ++q) here[q] += done;
    i += done;
  }
}

// Turns a query's scores of a block into weights; positions outside first..last get none. Updates
// its maximum and total; returns the correction of what was summed before.
CRIA_INLINE float soften(float* scores, int64_t count, int64_t first, int64_t last, float& maximum,
                         float& total) {
  const bool whole = first <= 0 && last >= count - 1;
  if (!whole)
    for (int64_t i = 0; i < count; ++i)
      if (i < first || i > last) scores[i] = kNothing;
  Floats largest = load(scores);
  for (int64_t i = kLanes; i < count; i += kLanes) largest = max(largest, load(scores + i));
  const float block_maximum = max_lane(largest);
  const float both = block_maximum > maximum ? block_maximum : maximum;
  if (both == kNothing) {
    for (int64_t i = 0; i < count; i += kLanes) store(scores + i, splat(0));
    return 1.0f;
  }
  float correction = 1;
  if (both != maximum) {
    float lanes[kLanes];
    store(lanes, exp(splat(maximum - both)));
    correction = maximum == kNothing ? 0.0f : lanes[0];
  }
  for (int64_t i = 0; i < count; i += kLanes)
    store(scores + i, exp(load(scores + i) - splat(both)));
  if (!whole)
    for (int64_t i = 0; i < count; ++i)
      if (i < first || i > last) scores[i] = 0;
  Floats sums = load(scores);
  for (int64_t i = kLanes; i < count; i += kLanes) sums = sums + load(scores + i);
  total = total * correction + sum(sums);
  maximum = both;
  return correction;
}

// Pages of f16 or f32.
template <class T>
struct Plain {
  CRIA_INLINE static void scores(const AttentionArgs& a, const Block& block) {
    for (int64_t page = 0; page < block.count; ++page)
      for (int64_t q = 0; q < a.count; q += kTile)
        with_count(a.count - q, [&]<int kCount>() {
          page_scores<T, kCount>(a.queries + q, reinterpret_cast<const T*>(block.pages[page]),
                                 a.key_dim, a.scratch + q * kAttentionBlock + page * kPage);
        });
  }
  CRIA_INLINE static void values(const AttentionArgs& a, const Block& block,
                                 const float* correction) {
    const int64_t width = (a.value_dim + kLanes - 1) / kLanes * kLanes;
    const auto offset = a.key_dim * kPage * static_cast<int64_t>(sizeof(T));
    for (int64_t q = 0; q < a.count; q += kTile)
      with_count(a.count - q, [&]<int kCount>() {
        block_values<T, kCount>(block, offset, width, a.scratch + q * kAttentionBlock,
                                correction + q, a.out + q, width);
      });
  }
};

// Pages of q8_0. Keys are two Q8_0 panels, so their scores are a matmul of quantised queries.
struct Q8 {
  CRIA_INLINE static void scores(const AttentionArgs& a, const Block& block) {
    const int64_t key_dim = (a.key_dim + kBlock - 1) / kBlock * kBlock;
    const int64_t panel = key_dim * kPanelRows / kBlock * kQ8KvBytes;
    for (int64_t page = 0; page < block.count; ++page)
      matmul_q8_0({.panels = block.pages[page],
                   .panel_bytes = panel,
                   .first_panel = 0,
                   .last_panel = kPage / kPanelRows,
                   .rows = kPage,
                   .k = key_dim,
                   .x = a.quantized,
                   .x_stride = 0,
                   .columns = a.count,
                   .y = a.scratch + page * kPage,
                   .y_stride = kAttentionBlock});
  }
  // 32 values at a time: a position's scale goes into its weight.
  CRIA_INLINE static void values(const AttentionArgs& a, const Block& block,
                                 const float* correction) {
    float weights[kTile * kAttentionBlock];
    const int64_t keys = (a.key_dim + kBlock - 1) / kBlock * kPage * kQ8KvBytes;
    for (int64_t i = 0; i < a.value_dim; i += kBlock) {
      const int64_t scales = keys + i / kBlock * kPage * kQ8KvBytes;
      const int64_t width = a.value_dim - i <= kLanes ? kLanes : kBlock;
      for (int64_t q = 0; q < a.count; q += kTile)
        with_count(a.count - q, [&]<int kCount>() {
          scale_weights<kCount>(block, scales, a.scratch + q * kAttentionBlock, weights);
          float* out[kCount];
          for (int j = 0; j < kCount; ++j) out[j] = a.out[q + j] + i;
          block_values<int8_t, kCount>(block, scales + 2 * kPage, kBlock, weights, correction + q,
                                       out, width);
        });
    }
  }

 private:
  template <int kCount>
  CRIA_INLINE static void scale_weights(const Block& block, int64_t offset, const float* weights,
                                        float* scaled) {
    for (int64_t i = 0; i < block.count * kPage; i += kLanes) {
      const uint8_t* const scales = block.pages[i / kPage] + offset + i % kPage * 2;
      const Floats scale = load_half(reinterpret_cast<const uint16_t*>(scales));
      for (int q = 0; q < kCount; ++q)
        store(scaled + q * kAttentionBlock + i, load(weights + q * kAttentionBlock + i) * scale);
    }
  }
};

template <class Format>
CRIA_INLINE void attend(const AttentionArgs& a) {
  float correction[kAttentionQueries];
  for (int64_t q = 0; q < a.count; ++q) {
    a.maximum[q] = kNothing;
    a.total[q] = 0;
    for (int64_t i = 0; i < a.value_dim; i += kLanes) store(a.out[q] + i, splat(0));
  }
  for (int64_t start = a.first_position; start < a.end_position;) {
    const int64_t next = (start / kAttentionBlock + 1) * kAttentionBlock;
    const int64_t end = next < a.end_position ? next : a.end_position;
    const Block block = {.pages = a.pages + start / kPage,
                         .count = (end - start + kPage - 1) / kPage,
                         .positions = end - start};
    Format::scores(a, block);
    for (int64_t q = 0; q < a.count; ++q) {
      float* const scores = a.scratch + q * kAttentionBlock;
      if (a.softcap > 0) softcap(scores, scores, a.softcap, block.count * kPage);
      const int64_t first = a.window > 0 ? a.last[q] - a.window + 1 - start : 0;
      correction[q] =
          soften(scores, block.count * kPage, first, a.last[q] - start, a.maximum[q], a.total[q]);
    }
    Format::values(a, block, correction);
    start = next;
  }
}

}  // namespace

void attention_f16(const AttentionArgs& args) noexcept {
  attend<Plain<uint16_t>>(args);
}
void attention_f32(const AttentionArgs& args) noexcept {
  attend<Plain<float>>(args);
}
void attention_q8_0(const AttentionArgs& args) noexcept {
  const int64_t key_dim = (args.key_dim + kBlock - 1) / kBlock * kBlock;
  for (int64_t q = 0; q < args.count; ++q) {
    const int64_t group = q / kGroup, left = args.count - group * kGroup;
    quantize(args.queries[q], key_dim, args.quantized + group * quantized_bytes(kGroup, key_dim),
             left < kGroup ? left : kGroup, q % kGroup);
  }
  attend<Q8>(args);
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
