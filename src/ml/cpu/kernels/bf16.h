// bf16.h - y = w x for BF16 panels, in the way of the instruction that some CPUs have for it.
// Oracle: ml/reference/matmul.cpp on rounded activations.
//
// Activations are rounded to BF16, to nearest even. A product of two is exact in float; the two of
// k = 2i + 1 and 2i are added to the one accumulator of an output, in this order, each with one
// rounding. So does VDPBF16PS, but that weights and sums below 2^-126 count as 0 there. A NaN gives
// a NaN; its payload is not promised.
#pragma once

#include "ml/cpu/kernels.h"
#include "ml/cpu/kernels/simd.h"
#include "ml/cpu/kernels/tiles.h"

namespace cria::ml::cpu::CRIA_ISA {

inline constexpr int64_t kBf16Row = 2 * kPanelRows;  // bytes of a panel's rows at one k

// `Set` tells how activations are kept (Value, round), how many panels and columns are multiplied
// at once (kPanels, kColumns) and what the accumulators take (add).
template <class Set, int kPanels, int kColumns>
[[gnu::noinline]] void bf16_tile(const uint8_t* p, int64_t panel_bytes,
                                 const typename Set::Value* x, int64_t stride, int64_t k, float* y,
                                 int64_t y_stride, int64_t rows, bool first) {
  Floats sums[kPanels][kColumns];
  for (int q = 0; q < kPanels; ++q)
    for (int c = 0; c < kColumns; ++c)
      sums[q][c] = first ? splat(0)
                         : load_first(y + c * y_stride + q * kPanelRows, rows - q * kPanelRows, 0);
  int64_t i = 0;
  for (; i + 2 <= k; i += 2, p += 2 * kBf16Row) {
    for (int q = 0; q < kPanels; ++q) __builtin_prefetch(p + q * panel_bytes + 2048);
    Set::template add<kPanels, kColumns>(sums, p, panel_bytes, x + i, stride);
  }
  if (i < k) Set::template add_last<kPanels, kColumns>(sums, p, panel_bytes, x + i, stride);
  for (int q = 0; q < kPanels; ++q)
    for (int c = 0; c < kColumns; ++c)
      store_first(y + c * y_stride + q * kPanelRows, sums[q][c], rows - q * kPanelRows);
}

template <class Set, int kPanels, int kColumns, class... Rest>
CRIA_INLINE void bf16_columns(int64_t count, const Rest&... rest) {
  if (count == kColumns) return bf16_tile<Set, kPanels, kColumns>(rest...);
  if constexpr (kColumns > 1) bf16_columns<Set, kPanels, kColumns - 1>(count, rest...);
}

template <class Set>
CRIA_INLINE void matmul_bf16_by(const MatmulArgs& a) {
  // Activations of some columns and, if there are many, of a part of k: what the first cache holds.
  constexpr int64_t kBatch = 48, kRoom = kBatch * 256;
  alignas(64) typename Set::Value values[kRoom];
  const auto* x = static_cast<const float*>(a.x);
  for (int64_t first = 0; first < a.columns; first += kBatch) {
    const int64_t left = a.columns - first, columns = left < kBatch ? left : kBatch;
    const int64_t piece = kRoom / columns / 32 * 32;
    for (int64_t begin = 0; begin < a.k; begin += piece) {
      const int64_t k = a.k - begin < piece ? a.k - begin : piece;
      for (int64_t c = 0; c < columns; ++c)
        Set::round(x + (first + c) * a.x_stride + begin, k, values + c * piece);
      for (int64_t panel = a.first_panel, step = 0; panel < a.last_panel; panel += step) {
        step = a.last_panel - panel >= Set::kPanels ? Set::kPanels : 1;
        const uint8_t* w = a.panels + panel * a.panel_bytes + begin * kBf16Row;
        const int64_t row = panel * kPanelRows;
        for_tiles(columns, Set::kColumns, [&](int64_t done, int64_t count) {
          const auto* of = values + done * piece;
          float* y = a.y + (first + done) * a.y_stride + row;
          if (step == 1)
            bf16_columns<Set, 1, Set::kColumns>(count, w, a.panel_bytes, of, piece, k, y,
                                                a.y_stride, a.rows - row, begin == 0);
          else
            bf16_columns<Set, Set::kPanels, Set::kColumns>(count, w, a.panel_bytes, of, piece, k, y,
                                                           a.y_stride, a.rows - row, begin == 0);
        });
      }
    }
  }
}

}  // namespace cria::ml::cpu::CRIA_ISA
