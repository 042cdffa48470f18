// probe.cpp - what this machine's cores can do at best: loops of nothing but the operation in
// question.

#include "ml/cpu/kernels/row_ops.h"
#include "ml/cpu/kernels/simd.h"

namespace cria::ml::cpu::CRIA_ISA {
namespace {

// Independent sums, to hide the latency of one; as many as fit into the registers.
constexpr int kChains = 8;
#if defined(__AVX512F__)
constexpr int kFloatChains = 8;
#else
constexpr int kFloatChains = 6;
#endif

// Keeps the compiler from working out ahead of time what the loop does.
template <class Vector>
CRIA_INLINE void hide(Vector& x) {
  __asm__ volatile("" : "+m"(x));
}

}  // namespace

int64_t probe_int8(int64_t rounds) noexcept {
  uint8_t weights[64];
  int8_t values[4 * kChains];
  for (int i = 0; i < 64; ++i) weights[i] = 1;
  for (int i = 0; i < 4 * kChains; ++i) values[i] = 1;
  Bytes w = load_bytes(weights);
  hide(w);
  Ints total = splat_int(0);
  constexpr int kFit = 128;  // groups until 16-bit sums are full: 2 * 128 < 32767
  for (int64_t i = 0; i < rounds; i += kFit) {
    Pairs sums[kChains];
    for (auto& sum : sums) sum = begin_pairs(splat_int(0));
    for (int j = 0; j < kFit; ++j)
      for (int c = 0; c < kChains; ++c) sums[c] = dot_pairs(sums[c], w, values + 4 * c);
    for (const auto& sum : sums) total = end_pairs(total, sum);
  }
  hide(total);
  return (rounds + kFit - 1) / kFit * kFit * kChains * 128;
}

int64_t probe_float(int64_t rounds) noexcept {
  Floats x = splat(1.0f), sums[kFloatChains];
  hide(x);
  for (auto& sum : sums) sum = splat(0);
  for (int64_t i = 0; i < rounds; ++i)
    for (auto& sum : sums) sum = fma(x, x, sum);
  for (auto& sum : sums) hide(sum);
  return rounds * kFloatChains * 32;
}

void probe_read(const uint8_t* p, int64_t bytes) noexcept {
  Floats sums[4] = {splat(0), splat(0), splat(0), splat(0)};
  const auto* x = reinterpret_cast<const float*>(p);
  for (int64_t i = 0; i + 64 <= bytes / 4; i += 64)
    for (int c = 0; c < 4; ++c) sums[c] = sums[c] + load(x + i + 16 * c);
  for (auto& sum : sums) hide(sum);
}

}  // namespace cria::ml::cpu::CRIA_ISA
