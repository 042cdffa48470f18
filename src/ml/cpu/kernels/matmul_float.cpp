// matmul_float.cpp - y = w x for float panels (F32, F16, BF16) and float activations.
// Oracle: ml/reference/matmul.cpp. Even and odd k are summed apart, whatever the number of columns.

#include "ml/cpu/kernels/row_ops.h"
#include "ml/cpu/kernels/simd.h"

namespace cria::ml::cpu::CRIA_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kTile = 8;
#else
constexpr int kTile = 2;
#endif

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
  if (count == kColumns) return tile<Format, kColumns>(p, x, stride, k, y, y_stride, rows);
  if constexpr (kColumns > 1)
    some_columns<Format, kColumns - 1>(count, p, x, stride, k, y, y_stride, rows);
}

template <class Format>
void matmul(const MatmulArgs& a) noexcept {
  const auto* x = static_cast<const float*>(a.x);
  for (int64_t panel = a.first_panel; panel < a.last_panel; ++panel) {
    const uint8_t* w = a.panels + panel * a.panel_bytes;
    const int64_t row = panel * kPanelRows;
    for (int64_t column = 0; column < a.columns; column += kTile) {
      const int64_t left = a.columns - column;
      some_columns<Format>(left < kTile ? left : kTile, w, x + column * a.x_stride, a.x_stride, a.k,
                           a.y + column * a.y_stride + row, a.y_stride, a.rows - row);
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
