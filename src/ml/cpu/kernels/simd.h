// simd.h - vectors of 16 floats, 16 ints and 64 bytes for the instruction set being compiled for.
//
// Every set has the same 16 lanes and the same order of operations, so that all variants of a
// kernel give the same bits: AVX-512 holds them in one register, AVX2 in two, scalar code in
// arrays.
//
// CRIA_ISA is both the namespace of this variant and its name. Only freestanding headers may be
// included here: an inline function from the standard library compiled with wide instructions could
// otherwise be the copy that the linker keeps for the whole program.
#pragma once

#include <stdint.h>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#define CRIA_INLINE [[gnu::always_inline]] inline

namespace cria::ml::cpu::CRIA_ISA {

inline constexpr int kLanes = 16;

#if defined(__AVX512F__)

struct Floats {
  __m512 v;
};
struct Ints {
  __m512i v;
};
struct Bytes {
  __m512i v;
};

CRIA_INLINE Floats load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
CRIA_INLINE Floats load_half(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
CRIA_INLINE Floats load_bfloat(const uint16_t* p) {
  const __m256i raw = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(raw), 16))};
}
CRIA_INLINE Floats load_u8(const uint8_t* p) {
  return {_mm512_cvtepi32_ps(
      _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}
CRIA_INLINE Ints load_i8(const int8_t* p) {
  return {_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
CRIA_INLINE Floats splat(float x) {
  return {_mm512_set1_ps(x)};
}
CRIA_INLINE void store(float* p, Floats a) {
  _mm512_storeu_ps(p, a.v);
}
CRIA_INLINE void store_half(uint16_t* p, Floats a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
CRIA_INLINE Floats operator+(Floats a, Floats b) {
  return {_mm512_add_ps(a.v, b.v)};
}
CRIA_INLINE Floats operator-(Floats a, Floats b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
CRIA_INLINE Floats operator*(Floats a, Floats b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
CRIA_INLINE Floats operator/(Floats a, Floats b) {
  return {_mm512_div_ps(a.v, b.v)};
}
CRIA_INLINE Floats fma(Floats a, Floats b, Floats c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
CRIA_INLINE Floats max(Floats a, Floats b) {
  return {_mm512_max_ps(a.v, b.v)};
}
CRIA_INLINE Floats min(Floats a, Floats b) {
  return {_mm512_min_ps(a.v, b.v)};
}
CRIA_INLINE Floats abs(Floats a) {
  return {_mm512_abs_ps(a.v)};
}
CRIA_INLINE Ints round(Floats a) {
  return {_mm512_cvtps_epi32(a.v)};
}
CRIA_INLINE Floats to_floats(Ints a) {
  return {_mm512_cvtepi32_ps(a.v)};
}
CRIA_INLINE Ints splat_int(int32_t x) {
  return {_mm512_set1_epi32(x)};
}
CRIA_INLINE Ints operator+(Ints a, Ints b) {
  return {_mm512_add_epi32(a.v, b.v)};
}
CRIA_INLINE Ints operator*(Ints a, Ints b) {
  return {_mm512_mullo_epi32(a.v, b.v)};
}
CRIA_INLINE Ints shift_left(Ints a, int n) {
  return {_mm512_slli_epi32(a.v, static_cast<unsigned>(n))};
}
CRIA_INLINE Floats as_floats(Ints a) {
  return {_mm512_castsi512_ps(a.v)};
}
CRIA_INLINE void store_i8(int8_t* p, Ints a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(a.v));
}
CRIA_INLINE Floats first_lanes(Floats a, int64_t n, float other) {
  const __mmask16 mask = static_cast<__mmask16>((1u << n) - 1u);
  return {_mm512_mask_blend_ps(mask, _mm512_set1_ps(other), a.v)};
}
CRIA_INLINE __m256 halves_sum(__m512 v) {
  return _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
}

CRIA_INLINE Bytes load_bytes(const uint8_t* p) {
  return {_mm512_loadu_si512(p)};
}
CRIA_INLINE Bytes low_nibbles(Bytes a) {
  return {_mm512_and_si512(a.v, _mm512_set1_epi8(15))};
}
CRIA_INLINE Bytes high_nibbles(Bytes a) {
  return {_mm512_and_si512(_mm512_srli_epi16(a.v, 4), _mm512_set1_epi8(15))};
}
// Adds 16 to every byte whose bit is set in the 64 bits at `mask`.
CRIA_INLINE Bytes add_fifth_bit(Bytes a, const uint8_t* mask) {
  uint64_t bits;
  __builtin_memcpy(&bits, mask, 8);
  return {_mm512_mask_add_epi8(a.v, bits, a.v, _mm512_set1_epi8(16))};
}
// Adds bits 2i, 2i+1 of `plane` times 16 to every byte.
template <int kIndex>
CRIA_INLINE Bytes add_upper_bits(Bytes a, Bytes plane) {
  __m512i bits = plane.v;
  if constexpr (kIndex == 0) bits = _mm512_slli_epi16(bits, 4);
  if constexpr (kIndex == 1) bits = _mm512_slli_epi16(bits, 2);
  if constexpr (kIndex == 3) bits = _mm512_srli_epi16(bits, 2);
  return {_mm512_or_si512(a.v, _mm512_and_si512(bits, _mm512_set1_epi8(0x30)))};
}
CRIA_INLINE Bytes look_up(Bytes indices, const uint8_t* table16) {
  const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table16));
  return {_mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), indices.v)};
}
CRIA_INLINE __m512i four_everywhere(const int8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return _mm512_set1_epi32(four);
}
// acc[i] += sum over j < 4 of w[4i + j] * a[j]; w unsigned of at most 6 bits.
CRIA_INLINE Ints dot_narrow(Ints acc, Bytes w, const int8_t* a) {
  return {_mm512_dpbusd_epi32(acc.v, w.v, four_everywhere(a))};
}
// Likewise for 8-bit w that stands for w - 128. wide_start(sum of all a) begins the accumulation.
CRIA_INLINE Ints dot_wide(Ints acc, Bytes w, const int8_t* a) {
  return {_mm512_dpbusd_epi32(acc.v, w.v, four_everywhere(a))};
}
CRIA_INLINE Ints wide_start(int32_t sum) {
  return splat_int(-128 * sum);
}

#elif defined(__AVX2__)

struct Floats {
  __m256 a, b;
};
struct Ints {
  __m256i a, b;
};
struct Bytes {
  __m256i a, b;
};

CRIA_INLINE Floats load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
CRIA_INLINE __m128i load_16(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
CRIA_INLINE Floats load_half(const uint16_t* p) {
  return {_mm256_cvtph_ps(load_16(p)), _mm256_cvtph_ps(load_16(p + 8))};
}
CRIA_INLINE __m256 widen_bfloat(const uint16_t* p) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_16(p)), 16));
}
CRIA_INLINE Floats load_bfloat(const uint16_t* p) {
  return {widen_bfloat(p), widen_bfloat(p + 8)};
}
CRIA_INLINE Floats load_u8(const uint8_t* p) {
  const __m128i raw = load_16(p);
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(raw)),
          _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(raw, 8)))};
}
CRIA_INLINE Ints load_i8(const int8_t* p) {
  const __m128i raw = load_16(p);
  return {_mm256_cvtepi8_epi32(raw), _mm256_cvtepi8_epi32(_mm_srli_si128(raw, 8))};
}
CRIA_INLINE Floats splat(float x) {
  return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
CRIA_INLINE void store(float* p, Floats x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
CRIA_INLINE void store_half(uint16_t* p, Floats x) {
  constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x.a, kMode));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(x.b, kMode));
}
CRIA_INLINE Floats operator+(Floats x, Floats y) {
  return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}
CRIA_INLINE Floats operator-(Floats x, Floats y) {
  return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
}
CRIA_INLINE Floats operator*(Floats x, Floats y) {
  return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}
CRIA_INLINE Floats operator/(Floats x, Floats y) {
  return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}
CRIA_INLINE Floats fma(Floats x, Floats y, Floats z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
CRIA_INLINE Floats max(Floats x, Floats y) {
  return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}
CRIA_INLINE Floats min(Floats x, Floats y) {
  return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)};
}
CRIA_INLINE Floats abs(Floats x) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
CRIA_INLINE Ints round(Floats x) {
  return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)};
}
CRIA_INLINE Floats to_floats(Ints x) {
  return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)};
}
CRIA_INLINE Ints splat_int(int32_t x) {
  return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}
CRIA_INLINE Ints operator+(Ints x, Ints y) {
  return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}
CRIA_INLINE Ints operator*(Ints x, Ints y) {
  return {_mm256_mullo_epi32(x.a, y.a), _mm256_mullo_epi32(x.b, y.b)};
}
CRIA_INLINE Ints shift_left(Ints x, int n) {
  return {_mm256_slli_epi32(x.a, n), _mm256_slli_epi32(x.b, n)};
}
CRIA_INLINE Floats as_floats(Ints x) {
  return {_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)};
}
CRIA_INLINE void store_i8(int8_t* p, Ints x) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(x.a, x.b), 0xd8);
  _mm_storeu_si128(
      reinterpret_cast<__m128i*>(p),
      _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}
CRIA_INLINE Floats first_lanes(Floats x, int64_t n, float other) {
  const __m256i count = _mm256_set1_epi32(static_cast<int32_t>(n));
  const __m256i low = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i high = _mm256_add_epi32(low, _mm256_set1_epi32(8));
  const __m256 rest = _mm256_set1_ps(other);
  return {_mm256_blendv_ps(rest, x.a, _mm256_castsi256_ps(_mm256_cmpgt_epi32(count, low))),
          _mm256_blendv_ps(rest, x.b, _mm256_castsi256_ps(_mm256_cmpgt_epi32(count, high)))};
}
CRIA_INLINE __m256 halves_sum(Floats x) {
  return _mm256_add_ps(x.a, x.b);
}

CRIA_INLINE Bytes load_bytes(const uint8_t* p) {
  const auto* q = reinterpret_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(q), _mm256_loadu_si256(q + 1)};
}
CRIA_INLINE Bytes low_nibbles(Bytes x) {
  const __m256i mask = _mm256_set1_epi8(15);
  return {_mm256_and_si256(x.a, mask), _mm256_and_si256(x.b, mask)};
}
CRIA_INLINE Bytes high_nibbles(Bytes x) {
  const __m256i mask = _mm256_set1_epi8(15);
  return {_mm256_and_si256(_mm256_srli_epi16(x.a, 4), mask),
          _mm256_and_si256(_mm256_srli_epi16(x.b, 4), mask)};
}
// 16 in each byte whose bit is set in the four bytes at `mask`.
CRIA_INLINE __m256i spread_bits(const uint8_t* mask) {
  int32_t bits;
  __builtin_memcpy(&bits, mask, 4);
  const __m256i which = _mm256_setr_epi64x(0x0000000000000000, 0x0101010101010101,
                                           0x0202020202020202, 0x0303030303030303);
  const __m256i each = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201ull));
  const __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32(bits), which);
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, each), each);
  return _mm256_and_si256(set, _mm256_set1_epi8(16));
}
CRIA_INLINE Bytes add_fifth_bit(Bytes x, const uint8_t* mask) {
  return {_mm256_or_si256(x.a, spread_bits(mask)), _mm256_or_si256(x.b, spread_bits(mask + 4))};
}
template <int kIndex>
CRIA_INLINE __m256i upper_bits(__m256i bits) {
  if constexpr (kIndex == 0) bits = _mm256_slli_epi16(bits, 4);
  if constexpr (kIndex == 1) bits = _mm256_slli_epi16(bits, 2);
  if constexpr (kIndex == 3) bits = _mm256_srli_epi16(bits, 2);
  return _mm256_and_si256(bits, _mm256_set1_epi8(0x30));
}
template <int kIndex>
CRIA_INLINE Bytes add_upper_bits(Bytes x, Bytes plane) {
  return {_mm256_or_si256(x.a, upper_bits<kIndex>(plane.a)),
          _mm256_or_si256(x.b, upper_bits<kIndex>(plane.b))};
}
CRIA_INLINE Bytes look_up(Bytes indices, const uint8_t* table16) {
  const __m256i table = _mm256_broadcastsi128_si256(load_16(table16));
  return {_mm256_shuffle_epi8(table, indices.a), _mm256_shuffle_epi8(table, indices.b)};
}
CRIA_INLINE __m256i four_everywhere(const int8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return _mm256_set1_epi32(four);
}
CRIA_INLINE __m256i dot_pairs(__m256i acc, __m256i w, __m256i a) {
  const __m256i pairs = _mm256_maddubs_epi16(w, a);  // at most 2 * 128 * 127: never saturates
  return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
CRIA_INLINE Ints dot_narrow(Ints acc, Bytes w, const int8_t* p) {
  const __m256i a = four_everywhere(p);
  return {dot_pairs(acc.a, w.a, a), dot_pairs(acc.b, w.b, a)};
}
// maddubs saturates with 8-bit unsigned weights, so the weight's sign moves to the activation.
CRIA_INLINE __m256i dot_signed(__m256i acc, __m256i w, __m256i a) {
  const __m256i value = _mm256_xor_si256(w, _mm256_set1_epi8(-128));
  return dot_pairs(acc, _mm256_abs_epi8(value), _mm256_sign_epi8(a, value));
}
CRIA_INLINE Ints dot_wide(Ints acc, Bytes w, const int8_t* p) {
  const __m256i a = four_everywhere(p);
  return {dot_signed(acc.a, w.a, a), dot_signed(acc.b, w.b, a)};
}
CRIA_INLINE Ints wide_start(int32_t) {
  return splat_int(0);
}

#else

struct Floats {
  float v[16];
};
struct Ints {
  int32_t v[16];
};
struct Bytes {
  uint8_t v[64];
};

CRIA_INLINE float widen_half(uint16_t h) {
  const uint32_t sign = uint32_t{h & 0x8000u} << 16;
  const uint32_t exponent = (h >> 10) & 0x1fu, mantissa = h & 0x3ffu;
  uint32_t bits = sign | ((exponent + 112) << 23) | (mantissa << 13);
  if (exponent == 0x1f) bits = sign | 0x7f800000u | (mantissa << 13);
  float value;
  __builtin_memcpy(&value, &bits, 4);
  if (exponent != 0) return value;
  const float small = static_cast<float>(mantissa) * 0x1p-24f;
  return sign != 0 ? -small : small;
}
CRIA_INLINE uint16_t narrow_half(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  const uint32_t sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {
    float shifted;
    __builtin_memcpy(&shifted, &magnitude, 4);
    shifted += 0.5f;
    uint32_t rounded;
    __builtin_memcpy(&rounded, &shifted, 4);
    return static_cast<uint16_t>(sign | (rounded - 0x3f000000u));
  }
  return static_cast<uint16_t>(
      sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13));
}

template <class Result, class Body>
CRIA_INLINE Result each_lane(Body body) {
  Result result;
  for (int i = 0; i < 16; ++i) result.v[i] = body(i);
  return result;
}
template <class Body>
CRIA_INLINE Bytes each_byte(Body body) {
  Bytes result;
  for (int i = 0; i < 64; ++i) result.v[i] = static_cast<uint8_t>(body(i));
  return result;
}

CRIA_INLINE Floats load(const float* p) {
  return each_lane<Floats>([&](int i) { return p[i]; });
}
CRIA_INLINE Floats load_half(const uint16_t* p) {
  return each_lane<Floats>([&](int i) { return widen_half(p[i]); });
}
CRIA_INLINE Floats load_bfloat(const uint16_t* p) {
  return each_lane<Floats>([&](int i) {
    const uint32_t bits = uint32_t{p[i]} << 16;
    float value;
    __builtin_memcpy(&value, &bits, 4);
    return value;
  });
}
CRIA_INLINE Floats load_u8(const uint8_t* p) {
  return each_lane<Floats>([&](int i) { return static_cast<float>(p[i]); });
}
CRIA_INLINE Ints load_i8(const int8_t* p) {
  return each_lane<Ints>([&](int i) { return int32_t{p[i]}; });
}
CRIA_INLINE Floats splat(float x) {
  return each_lane<Floats>([&](int) { return x; });
}
CRIA_INLINE void store(float* p, Floats a) {
  for (int i = 0; i < 16; ++i) p[i] = a.v[i];
}
CRIA_INLINE void store_half(uint16_t* p, Floats a) {
  for (int i = 0; i < 16; ++i) p[i] = narrow_half(a.v[i]);
}
CRIA_INLINE Floats operator+(Floats a, Floats b) {
  return each_lane<Floats>([&](int i) { return a.v[i] + b.v[i]; });
}
CRIA_INLINE Floats operator-(Floats a, Floats b) {
  return each_lane<Floats>([&](int i) { return a.v[i] - b.v[i]; });
}
CRIA_INLINE Floats operator*(Floats a, Floats b) {
  return each_lane<Floats>([&](int i) { return a.v[i] * b.v[i]; });
}
CRIA_INLINE Floats operator/(Floats a, Floats b) {
  return each_lane<Floats>([&](int i) { return a.v[i] / b.v[i]; });
}
CRIA_INLINE Floats fma(Floats a, Floats b, Floats c) {
  return each_lane<Floats>([&](int i) { return __builtin_fmaf(a.v[i], b.v[i], c.v[i]); });
}
// As the vector instructions: the second operand where one is not a number.
CRIA_INLINE Floats max(Floats a, Floats b) {
  return each_lane<Floats>([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
CRIA_INLINE Floats min(Floats a, Floats b) {
  return each_lane<Floats>([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
CRIA_INLINE Floats abs(Floats a) {
  return each_lane<Floats>([&](int i) { return __builtin_fabsf(a.v[i]); });
}
// To nearest, ties to even; what does not fit, and NaN, become INT32_MIN as in vector code.
CRIA_INLINE Ints round(Floats a) {
  return each_lane<Ints>([&](int i) {
    const float r = __builtin_rintf(a.v[i]);
    return r >= -2147483648.0f && r < 2147483648.0f ? static_cast<int32_t>(r) : INT32_MIN;
  });
}
CRIA_INLINE Floats to_floats(Ints a) {
  return each_lane<Floats>([&](int i) { return static_cast<float>(a.v[i]); });
}
CRIA_INLINE Ints splat_int(int32_t x) {
  return each_lane<Ints>([&](int) { return x; });
}
CRIA_INLINE Ints operator+(Ints a, Ints b) {
  return each_lane<Ints>([&](int i) {
    return static_cast<int32_t>(static_cast<uint32_t>(a.v[i]) + static_cast<uint32_t>(b.v[i]));
  });
}
CRIA_INLINE Ints operator*(Ints a, Ints b) {
  return each_lane<Ints>([&](int i) {
    return static_cast<int32_t>(static_cast<uint32_t>(a.v[i]) * static_cast<uint32_t>(b.v[i]));
  });
}
CRIA_INLINE Ints shift_left(Ints a, int n) {
  return each_lane<Ints>(
      [&](int i) { return static_cast<int32_t>(static_cast<uint32_t>(a.v[i]) << n); });
}
CRIA_INLINE Floats as_floats(Ints a) {
  Floats result;
  __builtin_memcpy(result.v, a.v, sizeof(result.v));
  return result;
}
CRIA_INLINE void store_i8(int8_t* p, Ints a) {
  for (int i = 0; i < 16; ++i)
    p[i] = static_cast<int8_t>(a.v[i] < -128 ? -128 : a.v[i] > 127 ? 127 : a.v[i]);
}
CRIA_INLINE Floats first_lanes(Floats a, int64_t n, float other) {
  return each_lane<Floats>([&](int i) { return i < n ? a.v[i] : other; });
}

CRIA_INLINE Bytes load_bytes(const uint8_t* p) {
  return each_byte([&](int i) { return p[i]; });
}
CRIA_INLINE Bytes low_nibbles(Bytes a) {
  return each_byte([&](int i) { return a.v[i] & 15; });
}
CRIA_INLINE Bytes high_nibbles(Bytes a) {
  return each_byte([&](int i) { return a.v[i] >> 4; });
}
CRIA_INLINE Bytes add_fifth_bit(Bytes a, const uint8_t* mask) {
  return each_byte([&](int i) { return a.v[i] + ((mask[i / 8] >> (i % 8)) & 1) * 16; });
}
template <int kIndex>
CRIA_INLINE Bytes add_upper_bits(Bytes a, Bytes plane) {
  return each_byte([&](int i) { return a.v[i] + ((plane.v[i] >> (2 * kIndex)) & 3) * 16; });
}
CRIA_INLINE Bytes look_up(Bytes indices, const uint8_t* table16) {
  return each_byte([&](int i) { return table16[indices.v[i]]; });
}
CRIA_INLINE Ints dot_narrow(Ints acc, Bytes w, const int8_t* a) {
  return each_lane<Ints>([&](int i) {
    int32_t sum = acc.v[i];
    for (int j = 0; j < 4; ++j) sum += w.v[4 * i + j] * a[j];
    return sum;
  });
}
CRIA_INLINE Ints dot_wide(Ints acc, Bytes w, const int8_t* a) {
  return dot_narrow(acc, w, a);
}
CRIA_INLINE Ints wide_start(int32_t sum) {
  return splat_int(-128 * sum);
}

#endif

// Lanes i and i + 8, then i and i + 4, and so on: one fixed tree for every instruction set.
CRIA_INLINE float sum(Floats a) {
#if defined(__AVX512F__) || defined(__AVX2__)
#if defined(__AVX512F__)
  const __m256 eight = halves_sum(a.v);
#else
  const __m256 eight = halves_sum(a);
#endif
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
#else
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) a.v[i] += a.v[i + width];
  return a.v[0];
#endif
}

CRIA_INLINE float max_lane(Floats a) {
  float lanes[16];
  store(lanes, a);
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i)
      lanes[i] = lanes[i] > lanes[i + width] ? lanes[i] : lanes[i + width];
  return lanes[0];
}

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
