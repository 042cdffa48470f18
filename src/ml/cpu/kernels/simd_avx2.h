// simd_avx2.h - 16 lanes in two registers.
// Included by simd.h, inside the namespace of the variant being compiled.
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
CRIA_INLINE void store_bytes(uint8_t* p, Bytes x) {
  auto* q = reinterpret_cast<__m256i*>(p);
  _mm256_storeu_si256(q, x.a);
  _mm256_storeu_si256(q + 1, x.b);
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
template <int kFrom, int kTo>
CRIA_INLINE __m256i move_bit(__m256i x) {
  if constexpr (kFrom < kTo) x = _mm256_slli_epi16(x, kTo - kFrom);
  if constexpr (kFrom > kTo) x = _mm256_srli_epi16(x, kFrom - kTo);
  return _mm256_and_si256(x, _mm256_set1_epi8(1 << kTo));
}
template <int kFrom, int kTo>
CRIA_INLINE Bytes add_bits(Bytes x, Bytes plane) {
  return {_mm256_or_si256(x.a, move_bit<kFrom, kTo>(plane.a)),
          _mm256_or_si256(x.b, move_bit<kFrom, kTo>(plane.b))};
}
template <int kFrom, int kCount>
CRIA_INLINE Bytes bits_of(Bytes x) {
  const __m256i mask = _mm256_set1_epi8((1 << kCount) - 1);
  return {_mm256_and_si256(_mm256_srli_epi16(x.a, kFrom), mask),
          _mm256_and_si256(_mm256_srli_epi16(x.b, kFrom), mask)};
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
// Sums of narrow products (see simd.h) in 16 bits: half the multiplications of 32-bit sums.
struct Pairs {
  __m256i a, b;
};
CRIA_INLINE Pairs begin_pairs(Ints) {
  return {_mm256_setzero_si256(), _mm256_setzero_si256()};
}
CRIA_INLINE Pairs dot_pairs(Pairs acc, Bytes w, const int8_t* p) {
  const __m256i a = four_everywhere(p);
  acc = {_mm256_add_epi16(acc.a, _mm256_maddubs_epi16(w.a, a)),
         _mm256_add_epi16(acc.b, _mm256_maddubs_epi16(w.b, a))};
  // Empty, but it keeps GCC from computing all products first and spilling every one of them.
  __asm__ volatile("" : "+x"(acc.a), "+x"(acc.b));
  return acc;
}
CRIA_INLINE __m256i widen_add(__m256i acc, __m256i pairs) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
CRIA_INLINE Ints end_pairs(Ints start, Pairs sums) {
  return {widen_add(start.a, sums.a), widen_add(start.b, sums.b)};
}
// Scales of a block's two halves, in 16 bits, so that weighing the 16-bit sums adds them up, too.
struct HalfScales {
  __m256i first_a, first_b, second_a, second_b;  // twice in each lane
  __m256i both_a, both_b;                        // the first's, then the second's
};
CRIA_INLINE __m256i twice(__m256i x) {
  return _mm256_or_si256(_mm256_slli_epi32(x, 16), _mm256_and_si256(x, _mm256_set1_epi32(0xffff)));
}
CRIA_INLINE HalfScales load_half_scales(const uint8_t* p) {
  const Ints first = load_i8(reinterpret_cast<const int8_t*>(p));
  const Ints second = load_i8(reinterpret_cast<const int8_t*>(p + 16));
  return {twice(first.a),
          twice(first.b),
          twice(second.a),
          twice(second.b),
          _mm256_blend_epi16(first.a, _mm256_slli_epi32(second.a, 16), 0xaa),
          _mm256_blend_epi16(first.b, _mm256_slli_epi32(second.b, 16), 0xaa)};
}
CRIA_INLINE Ints end_first_half(Ints acc, Pairs sums, const HalfScales& s) {
  return {_mm256_add_epi32(acc.a, _mm256_madd_epi16(sums.a, s.first_a)),
          _mm256_add_epi32(acc.b, _mm256_madd_epi16(sums.b, s.first_b))};
}
CRIA_INLINE Ints end_second_half(Ints acc, Pairs sums, const HalfScales& s) {
  return {_mm256_add_epi32(acc.a, _mm256_madd_epi16(sums.a, s.second_a)),
          _mm256_add_epi32(acc.b, _mm256_madd_epi16(sums.b, s.second_b))};
}
CRIA_INLINE Ints weigh_halves(const HalfScales& s, int32_t first, int32_t second) {
  const __m256i sums = _mm256_set1_epi32((first & 0xffff) | second * 65536);
  return {_mm256_madd_epi16(s.both_a, sums), _mm256_madd_epi16(s.both_b, sums)};
}
// maddubs saturates with 8-bit unsigned weights, so the weight's sign moves to the activation.
CRIA_INLINE __m256i dot_signed(__m256i acc, __m256i w, __m256i a) {
  const __m256i value = _mm256_xor_si256(w, _mm256_set1_epi8(-128));
  // At most 2 * 128 * 127: never saturates.
  return widen_add(acc, _mm256_maddubs_epi16(_mm256_abs_epi8(value), _mm256_sign_epi8(a, value)));
}
CRIA_INLINE Ints dot_wide(Ints acc, Bytes w, const int8_t* p) {
  const __m256i a = four_everywhere(p);
  return {dot_signed(acc.a, w.a, a), dot_signed(acc.b, w.b, a)};
}
CRIA_INLINE __m256i dot_unsigned(__m256i acc, __m256i w, const int8_t* p) {
  const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return widen_add(acc, _mm256_maddubs_epi16(w, a));
}
CRIA_INLINE Ints dot_lanes(Ints acc, Bytes w, const int8_t* p) {
  return {dot_unsigned(acc.a, w.a, p), dot_unsigned(acc.b, w.b, p + 32)};
}
CRIA_INLINE Ints wide_start(int32_t) {
  return splat_int(0);
}

CRIA_INLINE float sum(Floats a) {
  const __m256 eight = halves_sum(a);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
CRIA_INLINE float max_lane(Floats a) {
  const __m256 eight = _mm256_max_ps(a.a, a.b);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
