// simd_neon.h - 16 lanes in four registers; dot products where the CPU has them.
// Included by simd.h, inside the namespace of the variant being compiled.
struct Floats {
  float32x4_t v[4];
};
struct Ints {
  int32x4_t v[4];
};
struct Bytes {
  uint8x16_t v[4];
};

template <class Result, class Body>
CRIA_INLINE Result each_register(Body body) {
  Result result;
  for (int i = 0; i < 4; ++i) result.v[i] = body(i);
  return result;
}

CRIA_INLINE Floats load(const float* p) {
  return each_register<Floats>([&](int i) { return vld1q_f32(p + 4 * i); });
}
CRIA_INLINE Floats load_half(const uint16_t* p) {
  return each_register<Floats>(
      [&](int i) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))); });
}
CRIA_INLINE Floats load_bfloat(const uint16_t* p) {
  return each_register<Floats>(
      [&](int i) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16)); });
}
CRIA_INLINE Floats load_u8(const uint8_t* p) {
  const uint8x16_t raw = vld1q_u8(p);
  const uint16x8_t low = vmovl_u8(vget_low_u8(raw)), high = vmovl_u8(vget_high_u8(raw));
  return {{vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))),
           vcvtq_f32_u32(vmovl_u16(vget_high_u16(low))),
           vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))),
           vcvtq_f32_u32(vmovl_u16(vget_high_u16(high)))}};
}
CRIA_INLINE Ints load_i8(const int8_t* p) {
  const int8x16_t raw = vld1q_s8(p);
  const int16x8_t low = vmovl_s8(vget_low_s8(raw)), high = vmovl_s8(vget_high_s8(raw));
  return {{vmovl_s16(vget_low_s16(low)), vmovl_s16(vget_high_s16(low)),
           vmovl_s16(vget_low_s16(high)), vmovl_s16(vget_high_s16(high))}};
}
CRIA_INLINE Floats splat(float x) {
  return each_register<Floats>([&](int) { return vdupq_n_f32(x); });
}
CRIA_INLINE void store(float* p, Floats a) {
  for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, a.v[i]);
}
CRIA_INLINE void store_half(uint16_t* p, Floats a) {
  for (int i = 0; i < 4; ++i) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(a.v[i])));
}
CRIA_INLINE Floats operator+(Floats a, Floats b) {
  return each_register<Floats>([&](int i) { return vaddq_f32(a.v[i], b.v[i]); });
}
CRIA_INLINE Floats operator-(Floats a, Floats b) {
  return each_register<Floats>([&](int i) { return vsubq_f32(a.v[i], b.v[i]); });
}
CRIA_INLINE Floats operator*(Floats a, Floats b) {
  return each_register<Floats>([&](int i) { return vmulq_f32(a.v[i], b.v[i]); });
}
CRIA_INLINE Floats operator/(Floats a, Floats b) {
  return each_register<Floats>([&](int i) { return vdivq_f32(a.v[i], b.v[i]); });
}
CRIA_INLINE Floats fma(Floats a, Floats b, Floats c) {
  return each_register<Floats>([&](int i) { return vfmaq_f32(c.v[i], a.v[i], b.v[i]); });
}
// As on x86: the second operand where one is not a number.
CRIA_INLINE Floats max(Floats a, Floats b) {
  return each_register<Floats>(
      [&](int i) { return vbslq_f32(vcgtq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]); });
}
CRIA_INLINE Floats min(Floats a, Floats b) {
  return each_register<Floats>(
      [&](int i) { return vbslq_f32(vcltq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]); });
}
CRIA_INLINE Floats abs(Floats a) {
  return each_register<Floats>([&](int i) { return vabsq_f32(a.v[i]); });
}
// What does not fit, and NaN, become INT32_MIN as on x86; the conversion itself would saturate.
CRIA_INLINE Ints round(Floats a) {
  return each_register<Ints>([&](int i) {
    const uint32x4_t fits = vandq_u32(vcgeq_f32(a.v[i], vdupq_n_f32(-2147483648.0f)),
                                      vcltq_f32(a.v[i], vdupq_n_f32(2147483648.0f)));
    return vbslq_s32(fits, vcvtnq_s32_f32(a.v[i]), vdupq_n_s32(INT32_MIN));
  });
}
CRIA_INLINE Floats to_floats(Ints a) {
  return each_register<Floats>([&](int i) { return vcvtq_f32_s32(a.v[i]); });
}
CRIA_INLINE Ints splat_int(int32_t x) {
  return each_register<Ints>([&](int) { return vdupq_n_s32(x); });
}
CRIA_INLINE Ints operator+(Ints a, Ints b) {
  return each_register<Ints>([&](int i) { return vaddq_s32(a.v[i], b.v[i]); });
}
CRIA_INLINE Ints operator*(Ints a, Ints b) {
  return each_register<Ints>([&](int i) { return vmulq_s32(a.v[i], b.v[i]); });
}
CRIA_INLINE Ints shift_left(Ints a, int n) {
  return each_register<Ints>([&](int i) { return vshlq_s32(a.v[i], vdupq_n_s32(n)); });
}
CRIA_INLINE Floats as_floats(Ints a) {
  return each_register<Floats>([&](int i) { return vreinterpretq_f32_s32(a.v[i]); });
}
CRIA_INLINE void store_i8(int8_t* p, Ints a) {
  const int16x8_t low = vcombine_s16(vqmovn_s32(a.v[0]), vqmovn_s32(a.v[1]));
  const int16x8_t high = vcombine_s16(vqmovn_s32(a.v[2]), vqmovn_s32(a.v[3]));
  vst1q_s8(p, vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
}
CRIA_INLINE Floats first_lanes(Floats a, int64_t n, float other) {
  static constexpr int32_t kFirst[4] = {0, 1, 2, 3};
  return each_register<Floats>([&](int i) {
    const int32x4_t lane = vaddq_s32(vld1q_s32(kFirst), vdupq_n_s32(4 * i));
    const uint32x4_t stays = vcltq_s32(lane, vdupq_n_s32(static_cast<int32_t>(n)));
    return vbslq_f32(stays, a.v[i], vdupq_n_f32(other));
  });
}

CRIA_INLINE Bytes load_bytes(const uint8_t* p) {
  return each_register<Bytes>([&](int i) { return vld1q_u8(p + 16 * i); });
}
CRIA_INLINE void store_bytes(uint8_t* p, Bytes a) {
  for (int i = 0; i < 4; ++i) vst1q_u8(p + 16 * i, a.v[i]);
}
CRIA_INLINE Bytes low_nibbles(Bytes a) {
  return each_register<Bytes>([&](int i) { return vandq_u8(a.v[i], vdupq_n_u8(15)); });
}
CRIA_INLINE Bytes high_nibbles(Bytes a) {
  return each_register<Bytes>([&](int i) { return vshrq_n_u8(a.v[i], 4); });
}
template <int kFrom, int kTo>
CRIA_INLINE Bytes add_bits(Bytes a, Bytes plane) {
  return each_register<Bytes>([&](int i) {
    const uint8x16_t bits = vshlq_u8(plane.v[i], vdupq_n_s8(kTo - kFrom));
    return vorrq_u8(a.v[i], vandq_u8(bits, vdupq_n_u8(1 << kTo)));
  });
}
template <int kFrom, int kCount>
CRIA_INLINE Bytes bits_of(Bytes x) {
  return each_register<Bytes>([&](int i) {
    return vandq_u8(vshlq_u8(x.v[i], vdupq_n_s8(-kFrom)), vdupq_n_u8((1 << kCount) - 1));
  });
}
template <int kIndex>
CRIA_INLINE Bytes add_upper_bits(Bytes a, Bytes plane) {
  return each_register<Bytes>([&](int i) {
    uint8x16_t bits = plane.v[i];
    if constexpr (kIndex == 0) bits = vshlq_n_u8(bits, 4);
    if constexpr (kIndex == 1) bits = vshlq_n_u8(bits, 2);
    if constexpr (kIndex == 3) bits = vshrq_n_u8(bits, 2);
    return vorrq_u8(a.v[i], vandq_u8(bits, vdupq_n_u8(0x30)));
  });
}
CRIA_INLINE Bytes look_up(Bytes indices, const uint8_t* table16) {
  const uint8x16_t table = vld1q_u8(table16);
  return each_register<Bytes>([&](int i) { return vqtbl1q_u8(table, indices.v[i]); });
}
CRIA_INLINE int32x4_t dot_signed(int32x4_t acc, int8x16_t w, int8x16_t a) {
#if defined(__ARM_FEATURE_DOTPROD)
  return vdotq_s32(acc, w, a);
#else
  const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(a));
  const int16x8_t high = vmull_s8(vget_high_s8(w), vget_high_s8(a));
  return vaddq_s32(acc, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
#endif
}
CRIA_INLINE int8x16_t four_everywhere(const int8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return vreinterpretq_s8_s32(vdupq_n_s32(four));
}
CRIA_INLINE Ints dot_narrow(Ints acc, Bytes w, const int8_t* p) {
  const int8x16_t a = four_everywhere(p);
  return each_register<Ints>(
      [&](int i) { return dot_signed(acc.v[i], vreinterpretq_s8_u8(w.v[i]), a); });
}
CRIA_INLINE Ints dot_lanes(Ints acc, Bytes w, const int8_t* p) {
  return each_register<Ints>([&](int i) {
    return dot_signed(acc.v[i], vreinterpretq_s8_u8(w.v[i]), vld1q_s8(p + 16 * i));
  });
}
CRIA_INLINE Ints dot_wide(Ints acc, Bytes w, const int8_t* p) {
  const int8x16_t a = four_everywhere(p);
  return each_register<Ints>([&](int i) {
    const uint8x16_t value = veorq_u8(w.v[i], vdupq_n_u8(128));  // w - 128 as a signed byte
    return dot_signed(acc.v[i], vreinterpretq_s8_u8(value), a);
  });
}
CRIA_INLINE Ints wide_start(int32_t) {
  return splat_int(0);
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
  const float32x4_t four = vaddq_f32(vaddq_f32(a.v[0], a.v[2]), vaddq_f32(a.v[1], a.v[3]));
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
CRIA_INLINE float max_lane(Floats a) {
  const auto larger = [](float32x4_t x, float32x4_t y) { return vbslq_f32(vcgtq_f32(x, y), x, y); };
  const float32x4_t four = larger(larger(a.v[0], a.v[2]), larger(a.v[1], a.v[3]));
  const float32x4_t two = larger(four, vextq_f32(four, four, 2));
  return vgetq_lane_f32(larger(two, vextq_f32(two, two, 1)), 0);
}
