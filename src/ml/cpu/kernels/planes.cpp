// planes.cpp - kernels of a vocabulary head in two planes. Layouts and the argument why nothing is
// lost: ml/cpu/planes.h. Oracle: matmul of PanelKind::kQ8_0.

#include "ml/cpu/kernels/row_ops.h"
#include "ml/cpu/kernels/simd.h"

namespace cria::ml::cpu::CRIA_ISA {
namespace {

constexpr int64_t kHighBlock = 288, kJoinedBlock = 544;  // bytes of a block of 32 k
constexpr int64_t kAhead = 4096;                         // bytes, of a stream of panels

CRIA_INLINE Floats load_scales(const uint8_t* p) {
  return load_half(reinterpret_cast<const uint16_t*>(p));
}
CRIA_INLINE float read_float(const uint8_t* p) {
  float x;
  __builtin_memcpy(&x, p, 4);
  return x;
}

// Sums of a block's high nibbles times the activations, at most 8 * 4 * 15 * 127 each.
CRIA_INLINE Ints dot_high(const uint8_t* nibbles, const int8_t* x) {
  Pairs pairs = begin_pairs(splat_int(0));
  for (int g = 0; g < 4; ++g) {
    const Bytes both = load_bytes(nibbles + 64 * g);
    pairs = dot_pairs(pairs, low_nibbles(both), x + 4 * g);
    pairs = dot_pairs(pairs, high_nibbles(both), x + 16 + 4 * g);
  }
  return end_pairs(splat_int(0), pairs);
}

// A word (four low nibbles for group g, four for group g + 4) of each of eight rows.
using Words [[gnu::vector_size(32)]] = uint32_t;
using Half [[gnu::vector_size(16)]] = uint32_t;

// 16 bytes of a row and 16 of the fourth row after it. (By reference: returned, such a vector would
// be passed in different ways with and without AVX, which GCC warns of.)
CRIA_INLINE void load_rows(Words& words, const uint8_t* low, int64_t stride) {
  Half a, b;
  __builtin_memcpy(&a, low, 16);
  __builtin_memcpy(&b, low + 4 * stride, 16);
  words = __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7);
}
// Turns four rows of four words in each half, so that w[g] holds word g of each row.
CRIA_INLINE void turn(Words (&w)[4]) {
  const Words a = __builtin_shufflevector(w[0], w[1], 0, 8, 1, 9, 4, 12, 5, 13);
  const Words b = __builtin_shufflevector(w[2], w[3], 0, 8, 1, 9, 4, 12, 5, 13);
  const Words c = __builtin_shufflevector(w[0], w[1], 2, 10, 3, 11, 6, 14, 7, 15);
  const Words d = __builtin_shufflevector(w[2], w[3], 2, 10, 3, 11, 6, 14, 7, 15);
  w[0] = __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
  w[1] = __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
  w[2] = __builtin_shufflevector(c, d, 0, 1, 8, 9, 4, 5, 12, 13);
  w[3] = __builtin_shufflevector(c, d, 2, 3, 10, 11, 6, 7, 14, 15);
}

// The quants of a block of kQ8_0 from the nibbles of a high panel's block and, at `low`, row 0's
// 16 bytes of the low plane; row r's are r * stride further.
CRIA_INLINE void join_block(const uint8_t* nibbles, const uint8_t* low, int64_t stride,
                            uint8_t* quants) {
  for (int64_t r = 0; r < kPanelRows; r += 8) {
    Words words[4];
    for (int64_t j = 0; j < 4; ++j) load_rows(words[j], low + (r + j) * stride, stride);
    turn(words);
    for (int64_t g = 0; g < 4; ++g) {
      Words upper;
      __builtin_memcpy(&upper, nibbles + 64 * g + 4 * r, 32);
      const Words first = (upper & 0x0f0f0f0fu) << 4 | (words[g] & 0x0f0f0f0fu);
      const Words second = (upper & 0xf0f0f0f0u) | (words[g] >> 4 & 0x0f0f0f0fu);
      __builtin_memcpy(quants + 64 * g + 4 * r, &first, 32);
      __builtin_memcpy(quants + 64 * (g + 4) + 4 * r, &second, 32);
    }
  }
}

// Sixteen rows are read at a time, too many streams for the processor to foresee: fetches a part of
// what the next panel needs, when this one is in block `i` of `k` / 32.
CRIA_INLINE void fetch_next(const uint8_t* low, int64_t k, int64_t i) {
  for (int64_t j = 0; j < 4; ++j) __builtin_prefetch(low + 8 * k + 256 * i + 64 * j);
}

}  // namespace

void bound_planes(const PlanesArgs& a) noexcept {
  for (int64_t panel = a.first_panel; panel < a.last_panel; ++panel) {
    const uint8_t* p = a.panels + panel * a.panel_bytes;
    const Floats error = fma(load_u8(p), splat(0.25f), splat(a.rounding));
    const uint8_t* x = a.x;
    Floats y = splat(0), reach = splat(0);
    p += kHighHeader;
    for (int64_t i = 0; i < a.k / kBlock; ++i, p += kHighBlock, x += column_block_bytes(1)) {
      // Processors' own fetching stops at every page.
      for (int64_t j = 0; j < 5; ++j) __builtin_prefetch(p + kAhead + 64 * j);
      const Floats d = load_scales(p);
      const Ints sums = dot_high(p + 32, reinterpret_cast<const int8_t*>(x));
      const uint8_t* tail = x + kBlock;  // scale, scale * sum
      // q - 128 = 16 (high nibble - 8) + 7.5 on average: both factors are exact in float.
      y = fma(to_floats(sums) * splat(read_float(tail)), d * splat(16.0f), y);
      y = fma(d * splat(-120.5f), splat(read_float(tail + 4)), y);
      reach = fma(abs(d), splat(a.blocks[i]), reach);
    }
    const int64_t row = panel * kPanelRows;
    store_first(a.y + row, y, a.rows - row);
    store(a.slack + row, fma(error, reach, splat(1e-30f)));  // products may underflow
  }
}

void sum_low_bits(const uint8_t* low, int64_t k, const uint8_t* column, float* sums) noexcept {
  Floats total = splat(0), magnitudes = splat(0);
  for (int64_t i = 0; i < k; i += 4 * kBlock, low += 64, column += 256) {
    const Bytes both = load_bytes(low);
    const auto* x = reinterpret_cast<const int8_t*>(column);
    const auto* scales = reinterpret_cast<const float*>(column + 128);
    Ints products = dot_lanes(splat_int(0), low_nibbles(both), x);
    products = dot_lanes(products, high_nibbles(both), x + 64);
    const Floats part = fma(to_floats(products), load(scales), load(scales + 16));
    total = total + part;
    magnitudes = magnitudes + abs(part);
  }
  sums[0] = sum(total);
  sums[1] = sum(magnitudes);
}

void join_planes(const uint8_t* high, const uint8_t* low, int64_t k, uint8_t* panel) noexcept {
  high += kHighHeader;
  for (int64_t i = 0; i < k / kBlock; ++i, high += kHighBlock, panel += kJoinedBlock) {
    fetch_next(low, k, i);
    __builtin_memcpy(panel, high, 32);
    join_block(high + 32, low + 16 * i, k / 2, panel + 32);
  }
}

void multiply_planes(const PlanesArgs& a) noexcept {
  for (int64_t panel = a.first_panel; panel < a.last_panel; ++panel) {
    const uint8_t* p = a.panels + panel * a.panel_bytes + kHighHeader;
    const uint8_t* low = a.low + panel * kPanelRows * a.k / 2;
    const uint8_t* x = a.x;
    Floats y = splat(0);
    for (int64_t i = 0; i < a.k / kBlock; ++i, p += kHighBlock, x += column_block_bytes(1)) {
      fetch_next(low, a.k, i);
      alignas(64) uint8_t quants[512];
      join_block(p + 32, low + 16 * i, a.k / 2, quants);
      int32_t total;
      __builtin_memcpy(&total, x + kBlock + 8, 4);
      Ints sums = wide_start(total);
      for (int g = 0; g < 8; ++g)
        sums =
            dot_wide(sums, load_bytes(quants + 64 * g), reinterpret_cast<const int8_t*>(x) + 4 * g);
      y = fma(to_floats(sums) * splat(read_float(x + kBlock)), load_scales(p), y);
    }
    const int64_t row = panel * kPanelRows;
    store_first(a.y + row, y, a.rows - row);
  }
}

}  // namespace cria::ml::cpu::CRIA_ISA
