// probe.cpp - what this machine's cores can do at best: loops of nothing but the operation in
// question.

#include "ml/cpu/kernels/row_ops.h"
#include "ml/cpu/kernels/simd.h"

namespace cria::ml::cpu::CRIA_ISA {
namespace {

// Independent sums, to hide the latency of one; as many as fit into the registers.
#if defined(__AVX512F__)
constexpr int kChains = 12, kFloatChains = 8;
#else
constexpr int kChains = 4, kFloatChains = 6;
#endif

// Keeps the compiler from working out ahead of time what the loop does, and from doing once what
// it does in every round or in every chain.
template <class Value>
CRIA_INLINE void hide(Value& x) {
  __asm__ volatile("" : "+m"(x));
}
CRIA_INLINE void hide_pointer(const uint8_t*& p) {
  __asm__ volatile("" : "+r"(p));
}

}  // namespace

int64_t probe_int8(int64_t rounds) noexcept {
  uint8_t weights[64];
  int8_t values[4 * kChains];
  for (uint8_t& w : weights) w = 1;
  for (int8_t& x : values) x = 1;
  hide(values);
  Ints total = splat_int(0);
  constexpr int kFit = 128;  // groups until 16-bit sums are full: 2 * 128 < 32767
  for (int64_t i = 0; i < rounds; i += kFit) {
    Pairs sums[kChains];
    for (auto& sum : sums) sum = begin_pairs(splat_int(0));
    const uint8_t* p = weights;
    for (int j = 0; j < kFit; ++j) {
      hide_pointer(p);
      const Bytes w = load_bytes(p);
      for (int c = 0; c < kChains; ++c) sums[c] = dot_pairs(sums[c], w, values + 4 * c);
    }
    for (const auto& sum : sums) total = total + end_pairs(splat_int(0), sum);
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
