// matmul_integer.cpp - y = w x for block-quantised weights in panels and 8-bit activations.
// Oracle: ml/reference on the dequantised weights; layouts: ml/cpu/panels.h.
//
// One contract for every instruction set and number of columns, so that results are equal bit by
// bit: within a block of 32 the sum of products is exact in int32; then, in ascending block order,
// acc = fma(float(sum) * activation_scale, weight_scale, acc), and with minima
// acc = fma(weight_min, activation_scale * activation_sum, acc).

#include "ml/cpu/kernels/row_ops.h"
#include "ml/cpu/kernels/simd.h"

namespace cria::ml::cpu::CRIA_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kTile = 8;  // columns at once: 8 integer and 8 float accumulators
#elif defined(__AVX2__) || defined(CRIA_NEON)
constexpr int kTile = 4;
#else
constexpr int kTile = 1;  // nothing to gain without registers, and a minute of compilation to lose
#endif

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
  static constexpr bool kHasMin = false, kWide = false;
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
    return add_fifth_bit(nibble_group<g>(p + 96), p + 32 + 8 * g);
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
    return add_fifth_bit(nibble_group<g>(p + 128), p + 64 + 8 * g);
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
    return add_fifth_bit(nibble_group<g>(p + 96), p + 32 + 8 * g);
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
  CRIA_INLINE static Scales scales(const uint8_t*, Head h) { return {h.d, splat(0)}; }
  template <int g>
  CRIA_INLINE static Bytes group(const uint8_t* p) {
    return add_upper_bits<g % 4>(nibble_group<g>(p + 160), load_bytes(p + 32 + 64 * (g / 4)));
  }
};

// Where a tile's columns lie inside their group.
struct Columns {
  const uint8_t* block;  // of the group, at k = 0
  int64_t group_columns, first;
  CRIA_INLINE const int8_t* values(int c) const {
    return signed_bytes(block + (first + c) * kBlock);
  }
  CRIA_INLINE const uint8_t* tail(int field, int c) const {
    return block + group_columns * (kBlock + 4 * field) + (first + c) * 4;
  }
};

template <class Format>
CRIA_INLINE Ints start(int32_t sum) {
  if constexpr (Format::kWide) return wide_start(sum);
  return splat_int(-Format::kOffset * sum);
}

// acc += the products of groups g to kEnd - 1, one after another.
template <class Format, int kColumns, int g, int kEnd>
CRIA_INLINE void dot_wide_groups(Ints (&acc)[kColumns], const uint8_t* p, const Columns& x) {
  if constexpr (g < kEnd) {
    const Bytes w = Format::template group<g>(p);
    for (int c = 0; c < kColumns; ++c) acc[c] = dot_wide(acc[c], w, x.values(c) + 4 * g);
    dot_wide_groups<Format, kColumns, g + 1, kEnd>(acc, p, x);
  }
}

template <class Format, int kColumns, int g, int kEnd>
CRIA_INLINE void dot_pair_groups(Pairs (&acc)[kColumns], const uint8_t* p, const Columns& x) {
  if constexpr (g < kEnd) {
    const Bytes w = Format::template group<g>(p);
    for (int c = 0; c < kColumns; ++c) acc[c] = dot_pairs(acc[c], w, x.values(c) + 4 * g);
    dot_pair_groups<Format, kColumns, g + 1, kEnd>(acc, p, x);
  }
}

template <class Format, int kColumns, int g, int kEnd>
CRIA_INLINE void dot_groups(Ints (&acc)[kColumns], const uint8_t* p, const Columns& x) {
  if constexpr (Format::kWide) {
    dot_wide_groups<Format, kColumns, g, kEnd>(acc, p, x);
  } else if constexpr (g < kEnd) {
    constexpr int kFit = 32767 / (2 * 127 * Format::kMax);
    constexpr int kNext = g + kFit < kEnd ? g + kFit : kEnd;
    Pairs pairs[kColumns];
    for (int c = 0; c < kColumns; ++c) pairs[c] = begin_pairs(acc[c]);
    dot_pair_groups<Format, kColumns, g, kNext>(pairs, p, x);
    for (int c = 0; c < kColumns; ++c) acc[c] = end_pairs(acc[c], pairs[c]);
    dot_groups<Format, kColumns, kNext, kEnd>(acc, p, x);
  }
}

template <class Format, int kColumns>
CRIA_INLINE void dot_block(Ints (&acc)[kColumns], const uint8_t* p, const Columns& x) {
  if constexpr (__is_same(Format, Q6_K)) {
    const Ints first = load_i8(signed_bytes(p)), second = load_i8(signed_bytes(p + 16));
    Ints upper[kColumns];
    for (int c = 0; c < kColumns; ++c) {
      const int32_t sum = read_int(x.tail(2, c)), half = read_int(x.tail(3, c));
      acc[c] = start<Format>(half);
      upper[c] = start<Format>(sum - half);
    }
    dot_groups<Format, kColumns, 0, 4>(acc, p, x);
    dot_groups<Format, kColumns, 4, 8>(upper, p, x);
    for (int c = 0; c < kColumns; ++c) acc[c] = acc[c] * first + upper[c] * second;
  } else {
    for (int c = 0; c < kColumns; ++c) acc[c] = start<Format>(read_int(x.tail(2, c)));
    dot_groups<Format, kColumns, 0, 8>(acc, p, x);
  }
}

// 16 rows by kColumns columns over all of k.
template <class Format, int kColumns>
CRIA_INLINE void tile(const uint8_t* p, Columns x, int64_t k, Floats (&y)[kColumns]) {
  for (int c = 0; c < kColumns; ++c) y[c] = splat(0);
  const int64_t stride = column_block_bytes(x.group_columns);
  for (int64_t i = 0; i < k; i += kBlock * Format::kSub) {
    const typename Format::Head head = Format::head(p);
    p += Format::kHeadBytes;
    for (int sub = 0; sub < Format::kSub; ++sub, p += Format::kBytes, x.block += stride) {
      Ints acc[kColumns];
      dot_block<Format, kColumns>(acc, p, x);
      const Scales s = Format::scales(p, head);
      for (int c = 0; c < kColumns; ++c)
        y[c] = fma(to_floats(acc[c]) * splat(read_float(x.tail(0, c))), s.scale, y[c]);
      if constexpr (Format::kHasMin)
        for (int c = 0; c < kColumns; ++c) y[c] = fma(s.min, splat(read_float(x.tail(1, c))), y[c]);
    }
  }
}

template <class Format, int kColumns>
[[gnu::noinline]] void tile_out(const uint8_t* panel, const Columns& x, int64_t k, float* y,
                                int64_t y_stride, int64_t rows) {
  Floats sums[kColumns];
  tile<Format, kColumns>(panel, x, k, sums);
  for (int c = 0; c < kColumns; ++c) store_first(y + c * y_stride, sums[c], rows);
}

template <class Format, int kColumns = kTile>
CRIA_INLINE void some_columns(int64_t count, const uint8_t* panel, const Columns& x, int64_t k,
                              float* y, int64_t y_stride, int64_t rows) {
  if (count == kColumns) return tile_out<Format, kColumns>(panel, x, k, y, y_stride, rows);
  if constexpr (kColumns > 1)
    some_columns<Format, kColumns - 1>(count, panel, x, k, y, y_stride, rows);
}

template <class Format>
void matmul(const MatmulArgs& a) noexcept {
  const auto* x = static_cast<const uint8_t*>(a.x);
  const int64_t group_bytes = quantized_bytes(kGroup, a.k);
  for (int64_t panel = a.first_panel; panel < a.last_panel; ++panel) {
    const uint8_t* w = a.panels + panel * a.panel_bytes;
    const int64_t row = panel * kPanelRows;
    for (int64_t column = 0; column < a.columns; column += kGroup) {
      const int64_t left = a.columns - column;
      Columns group = {.block = x + column / kGroup * group_bytes,
                       .group_columns = left < kGroup ? left : kGroup,
                       .first = 0};
      for (; group.first < group.group_columns; group.first += kTile) {
        const int64_t count = group.group_columns - group.first;
        some_columns<Format>(count < kTile ? count : kTile, w, group, a.k,
                             a.y + (column + group.first) * a.y_stride + row, a.y_stride,
                             a.rows - row);
      }
    }
  }
}

}  // namespace

void matmul_q8_0(const MatmulArgs& args) noexcept {
  matmul<Q8_0>(args);
}

void set_integer_matmuls(Kernels& table) noexcept {
  const auto set = [&](PanelKind kind, auto* function) {
    table.matmul[static_cast<int>(kind)] = function;
  };
  set(PanelKind::kQ4_0, matmul<Q4_0>);
  set(PanelKind::kQ4_1, matmul<Q4_1>);
  set(PanelKind::kQ5_0, matmul<Q5_0>);
  set(PanelKind::kQ5_1, matmul<Q5_1>);
  set(PanelKind::kQ8_0, matmul_q8_0);
  set(PanelKind::kQ4_K, matmul<Q4_K>);
  set(PanelKind::kQ5_K, matmul<Q5_K>);
  set(PanelKind::kQ6_K, matmul<Q6_K>);
  set(PanelKind::kIQ4_NL, matmul<Iq4Nl>);
  set(PanelKind::kIQ4_XS, matmul<Iq4Xs>);
  set(PanelKind::kMXFP4, matmul<Mxfp4>);
}

}  // namespace cria::ml::cpu::CRIA_ISA
