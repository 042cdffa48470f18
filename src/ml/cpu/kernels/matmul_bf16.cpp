// matmul_bf16.cpp - BF16 panels where the CPU has no products of BF16: they are floats here.

#include "ml/cpu/kernels/bf16.h"
#include "ml/cpu/kernels/row_ops.h"

namespace cria::ml::cpu::CRIA_ISA {
namespace {

struct AsFloats {
  using Value = float;
#if defined(__AVX512F__)
  static constexpr int kPanels = 2, kColumns = 6;
#elif defined(__AVX2__)
  static constexpr int kPanels = 1, kColumns = 6;
#else
  static constexpr int kPanels = 1, kColumns = 2;
#endif

  // To nearest, ties to even; a NaN stays one, and what is below 2^-126 becomes 0.
  CRIA_INLINE static void round(const float* x, int64_t n, float* out) {
    for (int64_t i = 0; i < n; ++i) {
      uint32_t bits;
      __builtin_memcpy(&bits, x + i, 4);
      const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000;
      const uint32_t magnitude = bits & 0x7fffffff;
      const uint32_t kept = magnitude > 0x7f800000 ? (bits | 0x400000) & 0xffff0000
                            : magnitude < 0x800000 ? bits & 0x80000000
                                                   : rounded;
      __builtin_memcpy(out + i, &kept, 4);
    }
  }

  template <int kPanels, int kColumns>
  CRIA_INLINE static void add_one(Floats (&sums)[kPanels][kColumns], const uint8_t* p,
                                  int64_t panel_bytes, const float* x, int64_t stride) {
    Floats w[kPanels];
    for (int q = 0; q < kPanels; ++q)
      w[q] = load_bfloat(reinterpret_cast<const uint16_t*>(p + q * panel_bytes));
    for (int c = 0; c < kColumns; ++c) {
      const Floats value = splat(x[c * stride]);
      for (int q = 0; q < kPanels; ++q) sums[q][c] = fma(w[q], value, sums[q][c]);
    }
  }
  template <int kPanels, int kColumns>
  CRIA_INLINE static void add(Floats (&sums)[kPanels][kColumns], const uint8_t* p,
                              int64_t panel_bytes, const float* x, int64_t stride) {
    add_one(sums, p + kBf16Row, panel_bytes, x + 1, stride);
    add_one(sums, p, panel_bytes, x, stride);
  }
  template <int kPanels, int kColumns>
  CRIA_INLINE static void add_last(Floats (&sums)[kPanels][kColumns], const uint8_t* p,
                                   int64_t panel_bytes, const float* x, int64_t stride) {
    add_one(sums, p, panel_bytes, x, stride);
  }
};

}  // namespace

void matmul_bf16(const MatmulArgs& args) noexcept {
  matmul_bf16_by<AsFloats>(args);
}

}  // namespace cria::ml::cpu::CRIA_ISA
