// simd_avx512.h - 16 lanes in one register, dot products by VNNI.
// Included by simd.h, inside the namespace of the variant being compiled.
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
CRIA_INLINE void store_bytes(uint8_t* p, Bytes a) {
  _mm512_storeu_si512(p, a.v);
}
CRIA_INLINE Bytes low_nibbles(Bytes a) {
  return {_mm512_and_si512(a.v, _mm512_set1_epi8(15))};
}
CRIA_INLINE Bytes high_nibbles(Bytes a) {
  return {_mm512_and_si512(_mm512_srli_epi16(a.v, 4), _mm512_set1_epi8(15))};
}
// Puts bit kFrom of every byte of `plane` at bit kTo, which is 0.
template <int kFrom, int kTo>
CRIA_INLINE Bytes add_bits(Bytes a, Bytes plane) {
  __m512i bits = plane.v;
  if constexpr (kFrom < kTo) bits = _mm512_slli_epi16(bits, kTo - kFrom);
  if constexpr (kFrom > kTo) bits = _mm512_srli_epi16(bits, kFrom - kTo);
  return {_mm512_or_si512(a.v, _mm512_and_si512(bits, _mm512_set1_epi8(1 << kTo)))};
}
// kCount bits of every byte, from bit kFrom on.
template <int kFrom, int kCount>
CRIA_INLINE Bytes bits_of(Bytes x) {
  const __m512i mask = _mm512_set1_epi8((1 << kCount) - 1);
  return {_mm512_and_si512(_mm512_srli_epi16(x.v, kFrom), mask)};
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
CRIA_INLINE Ints dot_lanes(Ints acc, Bytes w, const int8_t* a) {
  return {_mm512_dpbusd_epi32(acc.v, w.v, _mm512_loadu_si512(a))};
}
CRIA_INLINE Ints wide_start(int32_t sum) {
  return splat_int(-128 * sum);
}
// Sums of narrow products (see simd.h): here simply the 32-bit sums themselves.
using Pairs = Ints;
CRIA_INLINE Pairs begin_pairs(Ints start) {
  return start;
}
CRIA_INLINE Pairs dot_pairs(Pairs acc, Bytes w, const int8_t* p) {
  return dot_narrow(acc, w, p);
}
CRIA_INLINE Ints end_pairs(Ints, Pairs sums) {
  return sums;
}

CRIA_INLINE float sum(Floats a) {
  const __m256 eight = halves_sum(a.v);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
CRIA_INLINE float max_lane(Floats a) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
