// matmul_float.cpp - y = w x for float panels (F32, F16, BF16) and float activations.
// Oracle: ml/reference/matmul.cpp. Even and odd k are summed apart, whatever the number of columns.

#include "ml/cpu/kernels/row_ops.h"
#include "ml/cpu/kernels/simd.h"

namespace cria::ml::cpu::CRIA_ISA {
namespace {

// Columns at a time; above kTogether even and odd k take turns, for want of registers.
#if defined(__AVX512F__)
constexpr int kTile = 8, kTogether = 8;
#elif defined(__AVX2__)
constexpr int kTile = 6, kTogether = 2;
#else
constexpr int kTile = 2, kTogether = 2;
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
struct BF16 {
  static constexpr int64_t kBytes = 32;
  CRIA_INLINE static Floats row(const uint8_t* p) {
    return load_bfloat(reinterpret_cast<const uint16_t*>(p));
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

template <class Format, int kColumns>
[[gnu::noinline]] void tile(const uint8_t* p, const float* x, int64_t stride, int64_t k, float* y,
                            int64_t y_stride, int64_t rows) {
  Floats even[kColumns], odd[kColumns];
  for (int c = 0; c < kColumns; ++c) even[c] = odd[c] = splat(0);
  int64_t i = 0;
  for (; i + 2 <= k; i += 2, p += 2 * Format::kBytes) {
    __builtin_prefetch(p + 2048);  // as in matmul_integer.cpp
    if constexpr (Format::kBytes == 64) __builtin_prefetch(p + 2048 + 64);
    const Floats a = Format::row(p), b = Format::row(p + Format::kBytes);
    for (int c = 0; c < kColumns; ++c) {
      even[c] = fma(a, splat(x[c * stride + i]), even[c]);
      odd[c] = fma(b, splat(x[c * stride + i + 1]), odd[c]);
    }
  }
  if (i < k) {
    const Floats a = Format::row(p);
    for (int c = 0; c < kColumns; ++c) even[c] = fma(a, splat(x[c * stride + i]), even[c]);
  }
  for (int c = 0; c < kColumns; ++c) store_first(y + c * y_stride, even[c] + odd[c], rows);
}

template <class Format, int kColumns = kTile>
CRIA_INLINE void some_columns(int64_t count, const uint8_t* p, const float* x, int64_t stride,
                              int64_t k, float* y, int64_t y_stride, int64_t rows) {
  constexpr auto kOf =
      kColumns > kTogether ? tile_in_turns<Format, kColumns> : tile<Format, kColumns>;
  if (count == kColumns) return kOf(p, x, stride, k, y, y_stride, rows);
  if constexpr (kColumns > 1)
    some_columns<Format, kColumns - 1>(count, p, x, stride, k, y, y_stride, rows);
}

// How many columns go through all panels before the next ones: what the second cache holds.
CRIA_INLINE int64_t columns_in_batch(int64_t k) {
  constexpr int64_t kRoom = 256 << 10, kFewest = 24;
  const int64_t fit = kRoom / (4 * k) / kTile * kTile;
  return fit < kFewest ? kFewest : fit;
}

template <class Format>
void matmul(const MatmulArgs& a) noexcept {
  const auto* x = static_cast<const float*>(a.x);
  const int64_t batch = columns_in_batch(a.k);
  for (int64_t first = 0; first < a.columns; first += batch) {
    const int64_t last = first + batch < a.columns ? first + batch : a.columns;
    for (int64_t panel = a.first_panel; panel < a.last_panel; ++panel) {
      const uint8_t* w = a.panels + panel * a.panel_bytes;
      const int64_t row = panel * kPanelRows;
      for (int64_t column = first; column < last; column += kTile) {
        const int64_t left = last - column;
        some_columns<Format>(left < kTile ? left : kTile, w, x + column * a.x_stride, a.x_stride,
                             a.k, a.y + column * a.y_stride + row, a.y_stride, a.rows - row);
      }
    }
  }
}

}  // namespace

void set_float_matmuls(Kernels& table) noexcept {
  table.matmul[static_cast<int>(PanelKind::kF32)] = matmul<F32>;
  table.matmul[static_cast<int>(PanelKind::kF16)] = matmul<F16>;
  table.matmul[static_cast<int>(PanelKind::kBF16)] = matmul<BF16>;
}

}  // namespace cria::ml::cpu::CRIA_ISA
