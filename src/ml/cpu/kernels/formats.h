// formats.h - how the block formats' panels are read: what the matmuls of this folder share.
// Layouts: ml/cpu/panels.h.
#pragma once

#include "ml/cpu/kernels.h"
#include "ml/cpu/kernels/simd.h"

namespace cria::ml::cpu::CRIA_ISA {

CRIA_INLINE const uint16_t* halves(const uint8_t* p) {
  return reinterpret_cast<const uint16_t*>(p);
}
CRIA_INLINE const int8_t* signed_bytes(const uint8_t* p) {
  return reinterpret_cast<const int8_t*>(p);
}
CRIA_INLINE float read_float(const uint8_t* p) {
  float x;
  __builtin_memcpy(&x, p, 4);
  return x;
}
CRIA_INLINE int32_t read_int(const uint8_t* p) {
  int32_t x;
  __builtin_memcpy(&x, p, 4);
  return x;
}

struct NoHead {};
struct ScaleHead {
  Floats d;
};
struct ScaleMinHead {
  Floats d, min;
};
struct Scales {
  Floats scale, min;  // min only with kHasMin
};

// Group g of a block whose nibbles start at `q`.
template <int g>
CRIA_INLINE Bytes nibble_group(const uint8_t* q) {
  const Bytes both = load_bytes(q + 64 * (g % 4));
  return g < 4 ? low_nibbles(both) : high_nibbles(both);
}

alignas(16) constexpr uint8_t kIq4Table[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                               129, 141, 153, 166, 181, 197, 217, 241};  // + 128
alignas(16) constexpr uint8_t kFp4Table[16] = {12, 13, 14, 15, 16, 18, 20, 24,
                                               12, 11, 10, 9,  8,  6,  4,  0};  // + 12

// Each format: how a superblock begins, where a block's scales are, and group g of its quants.
// kOffset is subtracted from every quant, and none is over kMax; kWide marks 8-bit quants that
// stand for q - 128.
struct Plain {
  using Head = NoHead;
  static constexpr int kSub = 1, kHeadBytes = 0;
  static constexpr bool kHasMin = false, kWide = false, kHalves = false;
  static constexpr bool kStreams = true;  // comes from memory
  static constexpr int kOffset = 0, kMax = 15;
  CRIA_INLINE static Head head(const uint8_t*) { return {}; }
  CRIA_INLINE static Scales scales(const uint8_t* p, Head) {
    return {load_half(halves(p)), splat(0)};
  }
};
struct Q4_0 : Plain {
  static constexpr int kBytes = 288, kOffset = 8;
  template <int g>
  CRIA_INLINE static Bytes group(const uint8_t* p) {
    return nibble_group<g>(p + 32);
  }
};
struct Q5_0 : Plain {
  static constexpr int kBytes = 352, kOffset = 16, kMax = 31;
  template <int g>
  CRIA_INLINE static Bytes group(const uint8_t* p) {
    return add_bits<g, 4>(nibble_group<g>(p + 96), load_bytes(p + 32));
  }
};
struct Q8_0 : Plain {
  static constexpr int kBytes = 544;
  static constexpr bool kWide = true;
  template <int g>
  CRIA_INLINE static Bytes group(const uint8_t* p) {
    return load_bytes(p + 32 + 64 * g);
  }
};
struct Iq4Nl : Plain {
  static constexpr int kBytes = 288;
  static constexpr bool kWide = true;
  template <int g>
  CRIA_INLINE static Bytes group(const uint8_t* p) {
    return look_up(nibble_group<g>(p + 32), kIq4Table);
  }
};
struct Mxfp4 : Plain {
  static constexpr int kBytes = 272, kOffset = 12, kMax = 24;
  // 2^(e - 128), half of 2^(e - 127): the table holds doubled values. e = 0 counts as e = 1.
  CRIA_INLINE static Scales scales(const uint8_t* p, Head) {
    const Ints exponent = round(max(load_u8(p), splat(1.0f)));
    return {as_floats(shift_left(exponent, 23)) * splat(0.5f), splat(0)};
  }
  template <int g>
  CRIA_INLINE static Bytes group(const uint8_t* p) {
    return look_up(nibble_group<g>(p + 16), kFp4Table);
  }
};
struct WithMin : Plain {
  static constexpr bool kHasMin = true;
  CRIA_INLINE static Scales scales(const uint8_t* p, Head) {
    return {load_half(halves(p)), load_half(halves(p + 32))};
  }
};
struct Q4_1 : WithMin {
  static constexpr int kBytes = 320;
  template <int g>
  CRIA_INLINE static Bytes group(const uint8_t* p) {
    return nibble_group<g>(p + 64);
  }
};
struct Q5_1 : WithMin {
  static constexpr int kBytes = 384, kMax = 31;
  template <int g>
  CRIA_INLINE static Bytes group(const uint8_t* p) {
    return add_bits<g, 4>(nibble_group<g>(p + 128), load_bytes(p + 64));
  }
};
struct SuperMin : Plain {
  using Head = ScaleMinHead;
  static constexpr int kSub = 8, kHeadBytes = 64;
  static constexpr bool kHasMin = true;
  CRIA_INLINE static Head head(const uint8_t* p) {
    return {load_half(halves(p)), splat(0) - load_half(halves(p + 32))};
  }
  CRIA_INLINE static Scales scales(const uint8_t* p, Head h) {
    return {h.d * load_u8(p), h.min * load_u8(p + 16)};  // 11 times 6 bits: exact
  }
};
struct Q4_K : SuperMin {
  static constexpr int kBytes = 288;
  template <int g>
  CRIA_INLINE static Bytes group(const uint8_t* p) {
    return nibble_group<g>(p + 32);
  }
};
struct Q5_K : SuperMin {
  static constexpr int kBytes = 352, kMax = 31;
  template <int g>
  CRIA_INLINE static Bytes group(const uint8_t* p) {
    return add_bits<g, 4>(nibble_group<g>(p + 96), load_bytes(p + 32));
  }
};
struct Super : Plain {
  using Head = ScaleHead;
  static constexpr int kSub = 8, kHeadBytes = 32;
  CRIA_INLINE static Head head(const uint8_t* p) { return {load_half(halves(p))}; }
};
struct Iq4Xs : Super {
  static constexpr int kBytes = 272;
  static constexpr bool kWide = true;
  CRIA_INLINE static Scales scales(const uint8_t* p, Head h) {
    return {h.d * to_floats(load_i8(signed_bytes(p))), splat(0)};
  }
  template <int g>
  CRIA_INLINE static Bytes group(const uint8_t* p) {
    return look_up(nibble_group<g>(p + 16), kIq4Table);
  }
};
// A scale per 16: the two halves' sums are weighted in int32, which stays exact (2 * 16 * 63 * 127
// * 128).
struct Q6_K : Super {
  static constexpr int kBytes = 416, kOffset = 32, kMax = 63;
  static constexpr bool kHalves = true;
  CRIA_INLINE static HalfScales half_scales(const uint8_t* p) { return load_half_scales(p); }
  CRIA_INLINE static Scales scales(const uint8_t*, Head h) { return {h.d, splat(0)}; }
  template <int g>
  CRIA_INLINE static Bytes group(const uint8_t* p) {
    return add_upper_bits<g % 4>(nibble_group<g>(p + 160), load_bytes(p + 32 + 64 * (g / 4)));
  }
};

// Group g of quants of two bits.
template <int g>
CRIA_INLINE Bytes pair_group(const uint8_t* p) {
  return bits_of<2 * (g % 4), 2>(load_bytes(p + 64 * (g / 4)));
}
// Of three bits: the last two groups are in what the others leave of the three vectors.
template <int g>
CRIA_INLINE Bytes triple_group(const uint8_t* p) {
  if constexpr (g < 6) return bits_of<3 * (g % 2), 3>(load_bytes(p + 64 * (g / 2)));
  return add_bits<g, 2>(bits_of<6, 2>(load_bytes(p + 64 * (g % 2))), load_bytes(p + 128));
}
// A minimum per 16, too.
struct Q2_K : Super {
  using Head = ScaleMinHead;
  static constexpr int kBytes = 192, kHeadBytes = 64, kMax = 3;
  static constexpr bool kHalves = true, kHasMin = true;
  CRIA_INLINE static Head head(const uint8_t* p) { return SuperMin::head(p); }
  CRIA_INLINE static Scales scales(const uint8_t*, Head h) { return {h.d, h.min}; }
  CRIA_INLINE static HalfScales half_scales(const uint8_t* p) { return load_half_scales(p); }
  CRIA_INLINE static HalfScales half_mins(const uint8_t* p) { return load_half_scales(p + 32); }
  template <int g>
  CRIA_INLINE static Bytes group(const uint8_t* p) {
    return pair_group<g>(p + 64);
  }
};
struct Q3_K : Super {
  static constexpr int kBytes = 224, kOffset = 4, kMax = 7;
  static constexpr bool kHalves = true;
  CRIA_INLINE static Scales scales(const uint8_t*, Head h) { return {h.d, splat(0)}; }
  CRIA_INLINE static HalfScales half_scales(const uint8_t* p) { return load_half_scales(p); }
  template <int g>
  CRIA_INLINE static Bytes group(const uint8_t* p) {
    return triple_group<g>(p + 32);
  }
};
struct Ternary : Super {
  static constexpr int kBytes = 128, kOffset = 1, kMax = 3;
  CRIA_INLINE static Scales scales(const uint8_t*, Head h) { return {h.d, splat(0)}; }
  template <int g>
  CRIA_INLINE static Bytes group(const uint8_t* p) {
    return pair_group<g>(p);
  }
};

// Levels of quant/iq_groups.h plus kOffset.
alignas(16) constexpr uint8_t kIq2Table[16] = {51, 68, 86, 43, 35, 18, 0, 43};
alignas(16) constexpr uint8_t kIq1Table[16] = {2, 10, 18, 9, 0, 8, 16, 9};
alignas(16) constexpr uint8_t kIq3XxsTable[16] = {66, 74, 82, 90, 98, 106, 114, 124,
                                                  58, 50, 42, 34, 26, 18,  10,  0};
alignas(16) constexpr uint8_t kIq3STable[16] = {16, 18, 20, 22, 24, 26, 28, 30,
                                                14, 12, 10, 8,  6,  4,  2,  0};
struct EighthHead : Super {
  CRIA_INLINE static Head head(const uint8_t* p) { return {Super::head(p).d * splat(0.125f)}; }
};
struct Iq2Xxs : EighthHead {
  static constexpr int kBytes = 208, kOffset = 43, kMax = 86;
  CRIA_INLINE static Scales scales(const uint8_t* p, Head h) { return Iq4Xs::scales(p, h); }
  template <int g>
  CRIA_INLINE static Bytes group(const uint8_t* p) {
    return look_up(triple_group<g>(p + 16), kIq2Table);
  }
};
struct Iq2 : EighthHead {
  static constexpr int kBytes = 224, kOffset = 43, kMax = 86;
  static constexpr bool kHalves = true;
  CRIA_INLINE static Scales scales(const uint8_t*, Head h) { return {h.d, splat(0)}; }
  CRIA_INLINE static HalfScales half_scales(const uint8_t* p) { return load_half_scales(p); }
  template <int g>
  CRIA_INLINE static Bytes group(const uint8_t* p) {
    return look_up(triple_group<g>(p + 32), kIq2Table);
  }
};
struct Iq1 : Iq2 {
  static constexpr int kOffset = 9, kMax = 18;
  template <int g>
  CRIA_INLINE static Bytes group(const uint8_t* p) {
    return look_up(triple_group<g>(p + 32), kIq1Table);
  }
};
struct Iq3Xxs : Iq4Xs {
  static constexpr bool kWide = false;
  static constexpr int kOffset = 62, kMax = 124;
  CRIA_INLINE static Head head(const uint8_t* p) { return {Super::head(p).d * splat(0.25f)}; }
  template <int g>
  CRIA_INLINE static Bytes group(const uint8_t* p) {
    return look_up(nibble_group<g>(p + 16), kIq3XxsTable);
  }
};
struct Iq3S : Iq4Xs {
  static constexpr bool kWide = false;
  static constexpr int kOffset = 15, kMax = 30;
  template <int g>
  CRIA_INLINE static Bytes group(const uint8_t* p) {
    return look_up(nibble_group<g>(p + 16), kIq3STable);
  }
};

// Asks for a block's bytes well before they are needed: with few columns memory is the limit, and
// the CPU's own prefetching leaves a third of one core's share unused (docs/benchmarks.md).
constexpr int kAhead = 2048;
template <class Format>
CRIA_INLINE void prefetch_block(const uint8_t* p) {
  for (int at = 0; at < Format::kBytes; at += 64) __builtin_prefetch(p + kAhead + at);
}

// How many columns to take through all panels before the next ones: as many as leave room in the
// second cache, but so many that the panels are not read much more often than that saves.
constexpr int64_t kFewestInBatch = 64;
CRIA_INLINE int64_t batch_columns(int64_t k, int64_t most) {
  constexpr int64_t kRoom = 640 << 10;
  const int64_t fit = kRoom / quantized_bytes(1, k) / kGroup * kGroup;
  const int64_t batch = fit < kFewestInBatch ? kFewestInBatch : fit;
  return batch < most ? batch : most;
}

template <PanelKind kKind>
struct Kind {
  static constexpr PanelKind value = kKind;
};
// Calls use.template operator()<Format>(Kind<...>{}) for every kind with 8-bit activations.
template <class Use>
CRIA_INLINE void for_each_format(const Use& use) {
  use.template operator()<Q4_0>(Kind<PanelKind::kQ4_0>{});
  use.template operator()<Q4_1>(Kind<PanelKind::kQ4_1>{});
  use.template operator()<Q5_0>(Kind<PanelKind::kQ5_0>{});
  use.template operator()<Q5_1>(Kind<PanelKind::kQ5_1>{});
  use.template operator()<Q8_0>(Kind<PanelKind::kQ8_0>{});
  use.template operator()<Q4_K>(Kind<PanelKind::kQ4_K>{});
  use.template operator()<Q5_K>(Kind<PanelKind::kQ5_K>{});
  use.template operator()<Q6_K>(Kind<PanelKind::kQ6_K>{});
  use.template operator()<Iq4Nl>(Kind<PanelKind::kIQ4_NL>{});
  use.template operator()<Iq4Xs>(Kind<PanelKind::kIQ4_XS>{});
  use.template operator()<Mxfp4>(Kind<PanelKind::kMXFP4>{});
  use.template operator()<Q2_K>(Kind<PanelKind::kQ2_K>{});
  use.template operator()<Q3_K>(Kind<PanelKind::kQ3_K>{});
  use.template operator()<Ternary>(Kind<PanelKind::kTQ>{});
  use.template operator()<Iq2Xxs>(Kind<PanelKind::kIQ2_XXS>{});
  use.template operator()<Iq2>(Kind<PanelKind::kIQ2>{});
  use.template operator()<Iq3Xxs>(Kind<PanelKind::kIQ3_XXS>{});
  use.template operator()<Iq3S>(Kind<PanelKind::kIQ3_S>{});
  use.template operator()<Iq1>(Kind<PanelKind::kIQ1>{});
}

}  // namespace cria::ml::cpu::CRIA_ISA
