// simd.h - vectors of 16 floats, 16 ints and 64 bytes for the instruction set being compiled for.
//
// Every set has the same 16 lanes and the same order of operations, so that all variants of a
// kernel give the same bits: AVX-512 holds them in one register, AVX2 in two, NEON in four, scalar
// code in arrays. A set is one header that defines Floats, Ints, Bytes and the same functions;
// sum() adds lanes i and i + 8, then i and i + 4, and so on: one fixed tree; max_lane() likewise.
//
// Products of narrow unsigned quants (at most `max`) with int8 in [-127, 127] may be summed up in
// 16 bits where 32-bit sums would cost more: begin_pairs(start), dot_pairs for up to
// 32767 / (2 * 127 * max) groups, end_pairs(start, sums). What comes out is exact in 32 bits.
//
// dot_lanes is dot_narrow with four activations for every lane instead of the same ones for all.
//
// CRIA_ISA is both the namespace of this variant and its name. Only freestanding headers may be
// included here: an inline function from the standard library compiled with wide instructions could
// otherwise be the copy that the linker keeps for the whole program.
#pragma once

#include <stdint.h>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(CRIA_NEON)
#include <arm_neon.h>
#endif

#define CRIA_INLINE [[gnu::always_inline]] inline

namespace cria::ml::cpu::CRIA_ISA {

inline constexpr int kLanes = 16;

#if defined(__AVX512F__)
#include "ml/cpu/kernels/simd_avx512.h"
#elif defined(__AVX2__)
#include "ml/cpu/kernels/simd_avx2.h"
#elif defined(CRIA_NEON)
#include "ml/cpu/kernels/simd_neon.h"
#else
#include "ml/cpu/kernels/simd_scalar.h"
#endif

// Scales of a block's two halves. The sums of a half's products are weighed in 32 bits, or, with
// kFloatHalves, in float: each product is below 2^24 and so exact, and their sum is rounded once,
// as the conversion of the integer sum is.
#if defined(__AVX512F__)
constexpr bool kFloatHalves = true;  // a multiplication of 32 bits takes ten cycles there
struct HalfScales {
  Floats first, second;
};
CRIA_INLINE HalfScales load_half_scales(const uint8_t* p) {
  const auto* scales = reinterpret_cast<const int8_t*>(p);
  return {to_floats(load_i8(scales)), to_floats(load_i8(scales + 16))};
}
CRIA_INLINE Floats weighed_halves(const HalfScales& s, int32_t first, int32_t second) {
  return fma(to_floats(splat_int(second)), s.second, to_floats(splat_int(first)) * s.first);
}
#else
constexpr bool kFloatHalves = false;
#if !defined(__AVX2__)
struct HalfScales {
  Ints first, second;
};
CRIA_INLINE HalfScales load_half_scales(const uint8_t* p) {
  const auto* scales = reinterpret_cast<const int8_t*>(p);
  return {load_i8(scales), load_i8(scales + 16)};
}
CRIA_INLINE Ints end_first_half(Ints acc, Pairs sums, const HalfScales& s) {
  return acc + sums * s.first;
}
CRIA_INLINE Ints end_second_half(Ints acc, Pairs sums, const HalfScales& s) {
  return acc + sums * s.second;
}
CRIA_INLINE Ints weigh_halves(const HalfScales& s, int32_t first, int32_t second) {
  return s.first * splat_int(first) + s.second * splat_int(second);
}
#endif
CRIA_INLINE Floats weighed_halves(const HalfScales& s, int32_t first, int32_t second) {
  return to_floats(weigh_halves(s, first, second));
}
#endif

CRIA_INLINE Floats load_first(const float* p, int64_t n, float other) {
  if (n >= kLanes) return load(p);
  float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = i < n ? p[i] : other;
  return load(lanes);
}
CRIA_INLINE void store_first(float* p, Floats a, int64_t n) {
  if (n >= kLanes) return store(p, a);
  float lanes[kLanes];
  store(lanes, a);
  for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}

// e^x: x = n ln 2 + r with |r| <= ln 2 / 2, then a polynomial of degree 6 (Cephes expf); within 2
// ulp. Clamped to [-87.3, 88.3], so the result is always finite and never 0; -inf gives e^-87.3.
CRIA_INLINE Floats exp(Floats x) {
  x = min(max(x, splat(-87.33654f)), splat(88.37626f));
  const Ints n = round(x * splat(1.44269504f));
  const Floats whole = to_floats(n);
  Floats r = fma(whole, splat(-0.693359375f), x);
  r = fma(whole, splat(2.12194440e-4f), r);
  Floats p = splat(1.9875691500e-4f);
  p = fma(p, r, splat(1.3981999507e-3f));
  p = fma(p, r, splat(8.3334519073e-3f));
  p = fma(p, r, splat(4.1665795894e-2f));
  p = fma(p, r, splat(1.6666665459e-1f));
  p = fma(p, r, splat(5.0000001201e-1f));
  p = fma(p, r * r, r + splat(1.0f));
  return p * as_floats(shift_left(n + splat_int(127), 23));
}

}  // namespace cria::ml::cpu::CRIA_ISA
