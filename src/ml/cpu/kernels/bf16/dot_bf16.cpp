// dot_bf16.cpp - BF16 panels by VDPBF16PS: twice the products of floats.

#include "ml/cpu/kernels/bf16.h"

namespace cria::ml::cpu::CRIA_ISA {
namespace {

struct Dot {
  using Value = uint16_t;
  static constexpr int kPanels = 2, kColumns = 6;

  CRIA_INLINE static void round(const float* x, int64_t n, uint16_t* out) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i),
                          reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_loadu_ps(x + i))));
    if (i == n) return;
    const Floats rest = load_first(x + i, n - i, 0);
    alignas(32) uint16_t lanes[kLanes];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lanes),
                       reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(rest.v)));
    for (int64_t j = 0; i < n; ++i, ++j) out[i] = lanes[j];
  }

  // The values of k and k + 1 stand side by side in each lane: `both` has the rows one behind
  // the other.
  CRIA_INLINE static __m512bh pairs(__m512i both) {
    alignas(64) static constexpr uint16_t kOrder[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                        21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                        11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return reinterpret_cast<__m512bh>(_mm512_permutexvar_epi16(_mm512_load_si512(kOrder), both));
  }

  template <int kPanels, int kColumns>
  CRIA_INLINE static void add(Floats (&sums)[kPanels][kColumns], const uint8_t* p,
                              int64_t panel_bytes, const uint16_t* x, int64_t stride) {
    __m512bh w[kPanels];
    for (int q = 0; q < kPanels; ++q) w[q] = pairs(_mm512_loadu_si512(p + q * panel_bytes));
    for (int c = 0; c < kColumns; ++c) {
      int32_t two;
      __builtin_memcpy(&two, x + c * stride, 4);
      const auto value = reinterpret_cast<__m512bh>(_mm512_set1_epi32(two));
      for (int q = 0; q < kPanels; ++q) sums[q][c].v = _mm512_dpbf16_ps(sums[q][c].v, w[q], value);
    }
  }
  // The second of the two is 0 on both sides.
  template <int kPanels, int kColumns>
  CRIA_INLINE static void add_last(Floats (&sums)[kPanels][kColumns], const uint8_t* p,
                                   int64_t panel_bytes, const uint16_t* x, int64_t stride) {
    __m512bh w[kPanels];
    for (int q = 0; q < kPanels; ++q)
      w[q] = pairs(_mm512_zextsi256_si512(
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + q * panel_bytes))));
    for (int c = 0; c < kColumns; ++c) {
      const auto value = reinterpret_cast<__m512bh>(_mm512_set1_epi32(x[c * stride]));
      for (int q = 0; q < kPanels; ++q) sums[q][c].v = _mm512_dpbf16_ps(sums[q][c].v, w[q], value);
    }
  }
};

void matmul(const MatmulArgs& args) noexcept {
  matmul_bf16_by<Dot>(args);
}

// See Kernels::probe_bf16.
int64_t probe_bf16(int64_t rounds) noexcept {
  constexpr int kChains = 12;
  int32_t ones = 0x3f803f80;
  __asm__ volatile("" : "+r"(ones));
  const auto x = reinterpret_cast<__m512bh>(_mm512_set1_epi32(ones));
  __m512 sums[kChains];
  for (auto& sum : sums) sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < rounds; ++i)
    for (auto& sum : sums) sum = _mm512_dpbf16_ps(sum, x, x);
  for (auto& sum : sums) __asm__ volatile("" : "+m"(sum));
  return rounds * kChains * 64;
}

}  // namespace

void fill_table(Kernels& table, const Kernels& avx512) noexcept {
  table = avx512;
  table.name = "avx512_bf16";
  table.matmul[static_cast<int>(PanelKind::kBF16)] = matmul;
  table.probe_bf16 = probe_bf16;
}

}  // namespace cria::ml::cpu::CRIA_ISA
