// simd_scalar.h - 16 lanes in arrays: what the other sets are measured against.
// Included by simd.h, inside the namespace of the variant being compiled.
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
CRIA_INLINE void store_bytes(uint8_t* p, Bytes a) {
  for (int i = 0; i < 64; ++i) p[i] = a.v[i];
}
CRIA_INLINE Bytes low_nibbles(Bytes a) {
  return each_byte([&](int i) { return a.v[i] & 15; });
}
CRIA_INLINE Bytes high_nibbles(Bytes a) {
  return each_byte([&](int i) { return a.v[i] >> 4; });
}
template <int kFrom, int kTo>
CRIA_INLINE Bytes add_bits(Bytes a, Bytes plane) {
  return each_byte([&](int i) { return a.v[i] + (((plane.v[i] >> kFrom) & 1) << kTo); });
}
template <int kFrom, int kCount>
CRIA_INLINE Bytes bits_of(Bytes x) {
  return each_byte([&](int i) { return (x.v[i] >> kFrom) & ((1 << kCount) - 1); });
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
CRIA_INLINE Ints dot_lanes(Ints acc, Bytes w, const int8_t* a) {
  return each_lane<Ints>([&](int i) {
    int32_t sum = acc.v[i];
    for (int j = 0; j < 4; ++j) sum += w.v[4 * i + j] * a[4 * i + j];
    return sum;
  });
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
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) a.v[i] += a.v[i + width];
  return a.v[0];
}
CRIA_INLINE float max_lane(Floats a) {
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) a.v[i] = a.v[i] > a.v[i + width] ? a.v[i] : a.v[i + width];
  return a.v[0];
}
