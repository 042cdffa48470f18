// matmul_float.cpp - y = w x for float panels (F32, F16) and float activations.
// Oracle: ml/reference/matmul.cpp. Even and odd k are summed apart, whatever the number of columns.

#include "ml/cpu/kernels/row_ops.h"
#include "ml/cpu/kernels/simd.h"
#include "ml/cpu/kernels/tiles.h"

namespace cria::ml::cpu::CRIA_ISA {
namespace {

// Columns at a time, of one panel and of two neighbours; above kTogether even and odd k take turns,
// for want of registers.
#if defined(__AVX512F__)
constexpr int kTile = 8, kPairTile = 6, kTogether = 8;
#elif defined(__AVX2__)
constexpr int kTile = 6, kPairTile = 0, kTogether = 2;
#else
constexpr int kTile = 2, kPairTile = 0, kTogether = 2;
#endif
constexpr int64_t kPiece = 128;  // k of a turn: its weights and values stay in the first cache

struct F32 {
  static constexpr int64_t kBytes = 64;
  CRIA_INLINE static Floats row(const uint8_t* p) {
    return load(reinterpret_cast<const float*>(p));
  }
};
struct F16 {
  static constexpr int64_t kBytes = 32;
  CRIA_INLINE static Floats row(const uint8_t* p) {
    return load_half(reinterpret_cast<const uint16_t*>(p));
  }
};

template <class Format, int kColumns>
CRIA_INLINE void add_every_other(const uint8_t* p, const float* x, int64_t stride, int64_t k,
                                 Floats* total) {
  Floats sums[kColumns];
  for (int c = 0; c < kColumns; ++c) sums[c] = total[c];
  for (int64_t i = 0; i < k; i += 2, p += 2 * Format::kBytes) {
    __builtin_prefetch(p + kPiece * Format::kBytes);
    const Floats w = Format::row(p);
    for (int c = 0; c < kColumns; ++c) sums[c] = fma(w, splat(x[c * stride + i]), sums[c]);
  }
  for (int c = 0; c < kColumns; ++c) total[c] = sums[c];
}

template <class Format, int kColumns>
[[gnu::noinline]] void tile_in_turns(const uint8_t* p, const float* x, int64_t stride, int64_t k,
                                     float* y, int64_t y_stride, int64_t rows) {
  Floats even[kColumns], odd[kColumns];
  for (int c = 0; c < kColumns; ++c) even[c] = odd[c] = splat(0);
  for (int64_t i = 0; i < k; i += kPiece) {
    const int64_t count = k - i < kPiece ? k - i : kPiece;
    const uint8_t* piece = p + i * Format::kBytes;
    add_every_other<Format, kColumns>(piece, x + i, stride, count, even);
    add_every_other<Format, kColumns>(piece + Format::kBytes, x + i + 1, stride, count - 1, odd);
  }
  for (int c = 0; c < kColumns; ++c) store_first(y + c * y_stride, even[c] + odd[c], rows);
}

// kPanels neighbouring panels, for which a column's values are loaded once.
template <class Format, int kPanels, int kColumns>
[[gnu::noinline]] void tile(const uint8_t* p, int64_t panel_bytes, const float* x, int64_t stride,
                            int64_t k, float* y, int64_t y_stride, int64_t rows) {
  Floats even[kPanels][kColumns], odd[kPanels][kColumns];
  for (int q = 0; q < kPanels; ++q)
    for (int c = 0; c < kColumns; ++c) even[q][c] = odd[q][c] = splat(0);
  const auto add = [&](Floats(&sums)[kPanels][kColumns], const uint8_t* at, const float* of) {
    Floats w[kPanels];
    for (int q = 0; q < kPanels; ++q) w[q] = Format::row(at + q * panel_bytes);
    for (int c = 0; c < kColumns; ++c) {
      const Floats value = splat(of[c * stride]);
      for (int q = 0; q < kPanels; ++q) sums[q][c] = fma(w[q], value, sums[q][c]);
    }
  };
  int64_t i = 0;
  for (; i + 2 <= k; i += 2, p += 2 * Format::kBytes) {
    for (int q = 0; q < kPanels; ++q)  // see prefetch_block in formats.h
      for (int at = 0; at < 2 * Format::kBytes; at += 64)
        __builtin_prefetch(p + q * panel_bytes + 2048 + at);
    add(even, p, x + i);
    add(odd, p + Format::kBytes, x + i + 1);
  }
  if (i < k) add(even, p, x + i);
  for (int q = 0; q < kPanels; ++q)
    for (int c = 0; c < kColumns; ++c)
      store_first(y + c * y_stride + q * kPanelRows, even[q][c] + odd[q][c], rows - q * kPanelRows);
}

template <class Format, int kPanels, int kColumns, class... Rest>
CRIA_INLINE void some_columns(int64_t count, const uint8_t* p, int64_t panel_bytes,
                              const Rest&... rest) {
  static_assert(kPanels == 1 || kColumns <= kTogether);
  if (count == kColumns) {
    if constexpr (kColumns > kTogether) return tile_in_turns<Format, kColumns>(p, rest...);
    return tile<Format, kPanels, kColumns>(p, panel_bytes, rest...);
  }
  if constexpr (kColumns > 1)
    some_columns<Format, kPanels, kColumns - 1>(count, p, panel_bytes, rest...);
}

// Columns [first, last) of kPanels panels, in as few tiles as can be; those of pairs are all about
// as wide.
template <class Format, int kPanels, int kMost>
CRIA_INLINE void columns_of(const MatmulArgs& a, int64_t panel, int64_t first, int64_t last) {
  const auto* x = static_cast<const float*>(a.x);
  const int64_t row = panel * kPanelRows;
  for (int64_t tiles = (last - first + kMost - 1) / kMost; tiles > 0; --tiles) {
    const int64_t left = last - first;
    const int64_t count = kPanels > 1 ? (left + tiles - 1) / tiles : left < kMost ? left : kMost;
    some_columns<Format, kPanels, kMost>(count, a.panels + panel * a.panel_bytes, a.panel_bytes,
                                         x + first * a.x_stride, a.x_stride, a.k,
                                         a.y + first * a.y_stride + row, a.y_stride, a.rows - row);
    first += count;
  }
}

// How many columns go through all panels before the next ones: what the second cache holds.
CRIA_INLINE int64_t columns_in_batch(int64_t k) {
  constexpr int64_t kRoom = 256 << 10, kFewest = 24;
  const int64_t fit = kRoom / (4 * k) / kTile * kTile;
  return fit < kFewest ? kFewest : fit;
}

template <class Format>
void matmul(const MatmulArgs& a) noexcept {
  const int64_t batch = columns_in_batch(a.k);
  for (int64_t first = 0; first < a.columns; first += batch) {
    const int64_t last = first + batch < a.columns ? first + batch : a.columns;
    const auto one = [&](int64_t panel) { columns_of<Format, 1, kTile>(a, panel, first, last); };
    if constexpr (kPairTile > 0)
      for_panels(
          a, last - first,
          [&](int64_t panel) { columns_of<Format, 2, kPairTile>(a, panel, first, last); }, one);
    else
      for (int64_t panel = a.first_panel; panel < a.last_panel; ++panel) one(panel);
  }
}

}  // namespace

void set_float_matmuls(Kernels& table) noexcept {
  table.matmul[static_cast<int>(PanelKind::kF32)] = matmul<F32>;
  table.matmul[static_cast<int>(PanelKind::kF16)] = matmul<F16>;
}

}  // namespace cria::ml::cpu::CRIA_ISA
