// matmul_integer.cpp - y = w x for block-quantised weights in panels and 8-bit activations.
// Oracle: ml/reference on the dequantised weights; layouts: ml/cpu/panels.h.
//
// One contract for every instruction set and number of columns, so that results are equal bit by
// bit: within a block of 32 the sum of products is exact in int32; then, in ascending block order,
// acc = fma(float(sum) * activation_scale, weight_scale, acc), and with minima
// acc = fma(weight_min, activation_scale * activation_sum, acc). Where scales or minima are per 16,
// the halves are weighed by them before, in int32 or so that it rounds the same (simd.h).

#include "ml/cpu/kernels/formats.h"
#include "ml/cpu/kernels/row_ops.h"

namespace cria::ml::cpu::CRIA_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kTile = 8;  // columns at once: 8 integer and 8 float accumulators
#elif defined(__AVX2__) || defined(CRIA_NEON)
constexpr int kTile = 4;
#else
constexpr int kTile = 1;  // nothing to gain without registers, and a minute of compilation to lose
#endif

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

// The same for narrow quants, as many groups at a time as their 16-bit sums can hold; end(c, sums)
// takes what came out for column c.
template <class Format, int kColumns, int g, int kEnd, class End>
CRIA_INLINE void dot_narrow_groups(const uint8_t* p, const Columns& x,
                                   const Ints (&begin)[kColumns], const End& end) {
  if constexpr (g < kEnd) {
    constexpr int kFit = 32767 / (2 * 127 * Format::kMax);
    constexpr int kNext = g + kFit < kEnd ? g + kFit : kEnd;
    Pairs pairs[kColumns];
    for (int c = 0; c < kColumns; ++c) pairs[c] = begin_pairs(begin[c]);
    dot_pair_groups<Format, kColumns, g, kNext>(pairs, p, x);
    for (int c = 0; c < kColumns; ++c) end(c, pairs[c]);
    dot_narrow_groups<Format, kColumns, kNext, kEnd>(p, x, begin, end);
  }
}

// The sums of a block for each row and column, scaled where halves have scales: exact integers, or
// rounded once to float where they are too large.
template <class Format, int kColumns>
CRIA_INLINE void dot_block(Floats (&out)[kColumns], const uint8_t* p, const Columns& x) {
  Ints acc[kColumns];
  if constexpr (Format::kHalves && kFloatHalves) {
    const auto scales = Format::half_scales(p);
    const auto end = [&](int c, Pairs sums) { acc[c] = end_pairs(acc[c], sums); };
    for (int c = 0; c < kColumns; ++c) acc[c] = start<Format>(read_int(x.tail(3, c)));
    dot_narrow_groups<Format, kColumns, 0, 4>(p, x, acc, end);
    for (int c = 0; c < kColumns; ++c) {
      out[c] = to_floats(acc[c]) * scales.first;
      acc[c] = start<Format>(read_int(x.tail(2, c)) - read_int(x.tail(3, c)));
    }
    dot_narrow_groups<Format, kColumns, 4, 8>(p, x, acc, end);
    for (int c = 0; c < kColumns; ++c) out[c] = fma(to_floats(acc[c]), scales.second, out[c]);
    return;
  } else if constexpr (Format::kHalves) {
    const auto scales = Format::half_scales(p);
    Ints zero[kColumns];
    for (int c = 0; c < kColumns; ++c) {
      const int32_t sum = read_int(x.tail(2, c)), half = read_int(x.tail(3, c));
      acc[c] = splat_int(-Format::kOffset) * weigh_halves(scales, half, sum - half);
      zero[c] = splat_int(0);
    }
    dot_narrow_groups<Format, kColumns, 0, 4>(
        p, x, zero, [&](int c, Pairs sums) { acc[c] = end_first_half(acc[c], sums, scales); });
    dot_narrow_groups<Format, kColumns, 4, 8>(
        p, x, zero, [&](int c, Pairs sums) { acc[c] = end_second_half(acc[c], sums, scales); });
  } else {
    for (int c = 0; c < kColumns; ++c) acc[c] = start<Format>(read_int(x.tail(2, c)));
    if constexpr (Format::kWide)
      dot_wide_groups<Format, kColumns, 0, 8>(acc, p, x);
    else
      dot_narrow_groups<Format, kColumns, 0, 8>(
          p, x, acc, [&](int c, Pairs sums) { acc[c] = end_pairs(acc[c], sums); });
  }
  for (int c = 0; c < kColumns; ++c) out[c] = to_floats(acc[c]);
}

// 16 rows by kColumns columns over k values: y += w x.
template <class Format, int kColumns>
CRIA_INLINE void tile(const uint8_t* p, Columns x, int64_t k, Floats (&y)[kColumns]) {
  const int64_t stride = column_block_bytes(x.group_columns);
  for (int64_t i = 0; i < k; i += kBlock * Format::kSub) {
    const typename Format::Head head = Format::head(p);
    p += Format::kHeadBytes;
    for (int sub = 0; sub < Format::kSub; ++sub, p += Format::kBytes, x.block += stride) {
      if constexpr (Format::kStreams && kColumns <= 4) prefetch_block<Format>(p);
      Floats sums[kColumns];
      dot_block<Format, kColumns>(sums, p, x);
      const Scales s = Format::scales(p, head);
      for (int c = 0; c < kColumns; ++c)
        y[c] = fma(sums[c] * splat(read_float(x.tail(0, c))), s.scale, y[c]);
      if constexpr (Format::kHasMin && Format::kHalves) {
        const auto mins = Format::half_mins(p);
        for (int c = 0; c < kColumns; ++c) {
          const int32_t sum = read_int(x.tail(2, c)), half = read_int(x.tail(3, c));
          const Floats weighed = weighed_halves(mins, half, sum - half);
          y[c] = fma(weighed * splat(read_float(x.tail(0, c))), s.min, y[c]);
        }
      } else if constexpr (Format::kHasMin) {
        for (int c = 0; c < kColumns; ++c) y[c] = fma(s.min, splat(read_float(x.tail(1, c))), y[c]);
      }
    }
  }
}

template <class Format, int kColumns>
[[gnu::noinline]] void tile_out(const uint8_t* panel, const Columns& x, int64_t k, float* y,
                                int64_t y_stride, int64_t rows) {
  Floats sums[kColumns];
  for (int c = 0; c < kColumns; ++c) sums[c] = splat(0);
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

// Columns [first, last) of all panels; `first` begins a group.
template <class Format>
CRIA_INLINE void few_columns(const MatmulArgs& a, int64_t first, int64_t last) {
  const auto* x = static_cast<const uint8_t*>(a.x);
  const int64_t group_bytes = quantized_bytes(kGroup, a.k);
  for (int64_t panel = a.first_panel; panel < a.last_panel; ++panel) {
    const uint8_t* w = a.panels + panel * a.panel_bytes;
    const int64_t row = panel * kPanelRows;
    for (int64_t column = first; column < last; column += kGroup) {
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

// ---- many columns: a piece of a panel is unpacked once for all of them ----

constexpr bool kUnpackFirst = kTile == 4;  // too few registers to unpack in the inner loop
constexpr int64_t kPieceBlocks = 8;        // 256 k: 4 KiB of quants, which stay in the first cache
constexpr int64_t kBatchColumns = 64;      // their activations stay in the second cache

// A block of a piece: the scales as floats, the halves' scales as they are, a byte for each quant.
template <class Format>
struct Unpacked : Format {
  using Head = NoHead;
  static constexpr bool kStreams = false;
  static constexpr int kSub = 1, kHeadBytes = 0;
  static constexpr int kMinAt = 64, kHalvesAt = Format::kHasMin ? 128 : 64;
  static constexpr int kQuantsAt = kHalvesAt + (Format::kHalves ? 64 : 0);
  static constexpr int kBytes = kQuantsAt + 512;
  CRIA_INLINE static Head head(const uint8_t*) { return {}; }
  CRIA_INLINE static Scales scales(const uint8_t* p, Head) {
    const auto* floats = reinterpret_cast<const float*>(p);
    if constexpr (Format::kHasMin) return {load(floats), load(floats + 16)};
    return {load(floats), splat(0)};
  }
  CRIA_INLINE static HalfScales half_scales(const uint8_t* p) {
    return load_half_scales(p + kHalvesAt);
  }
  CRIA_INLINE static HalfScales half_mins(const uint8_t* p) {
    return load_half_scales(p + kHalvesAt + 32);
  }
  template <int g>
  CRIA_INLINE static Bytes group(const uint8_t* p) {
    return load_bytes(p + kQuantsAt + 64 * g);
  }
};

template <class Format, int g = 0>
CRIA_INLINE void unpack_groups(const uint8_t* p, uint8_t* out) {
  if constexpr (g < 8) {
    store_bytes(out + 64 * g, Format::template group<g>(p));
    unpack_groups<Format, g + 1>(p, out);
  }
}

// Unpacks `blocks` blocks; returns where the panel goes on.
template <class Format>
const uint8_t* unpack_piece(const uint8_t* p, int64_t blocks, uint8_t* out) {
  using To = Unpacked<Format>;
  for (int64_t i = 0; i < blocks; i += Format::kSub) {
    const typename Format::Head head = Format::head(p);
    p += Format::kHeadBytes;
    for (int sub = 0; sub < Format::kSub; ++sub, p += Format::kBytes, out += To::kBytes) {
      prefetch_block<Format>(p);
      const Scales s = Format::scales(p, head);
      store(reinterpret_cast<float*>(out), s.scale);
      if constexpr (Format::kHasMin) store(reinterpret_cast<float*>(out + To::kMinAt), s.min);
      if constexpr (Format::kHalves)
        __builtin_memcpy(out + To::kHalvesAt, p, Format::kHasMin ? 64 : 32);
      unpack_groups<Format>(p, out + To::kQuantsAt);
    }
  }
  return p;
}

template <class Format, int kColumns>
[[gnu::noinline]] void add_tile(const uint8_t* piece, const Columns& x, int64_t k, float* y) {
  Floats sums[kColumns];
  for (int c = 0; c < kColumns; ++c) sums[c] = load(y + c * kPanelRows);
  tile<Unpacked<Format>, kColumns>(piece, x, k, sums);
  for (int c = 0; c < kColumns; ++c) store(y + c * kPanelRows, sums[c]);
}

// One panel by at most kBatchColumns columns, the first of which is the first of a group.
template <class Format>
void panel_by_batch(const uint8_t* panel, const uint8_t* x, int64_t k, int64_t columns,
                    float* sums) {
  alignas(64) uint8_t piece[kPieceBlocks * Unpacked<Format>::kBytes];
  for (int64_t c = 0; c < columns * kPanelRows; ++c) sums[c] = 0;
  const int64_t group_bytes = quantized_bytes(kGroup, k);
  for (int64_t block = 0; block < k / kBlock; block += kPieceBlocks) {
    const int64_t left = k / kBlock - block;
    const int64_t blocks = left < kPieceBlocks ? left : kPieceBlocks;
    panel = unpack_piece<Format>(panel, blocks, piece);
    for (int64_t column = 0; column < columns; column += kTile) {
      const int64_t group = column / kGroup * kGroup, rest = columns - group;
      const int64_t group_columns = rest < kGroup ? rest : kGroup;
      const Columns tile = {
          .block = x + group / kGroup * group_bytes + block * column_block_bytes(group_columns),
          .group_columns = group_columns,
          .first = column - group};
      const int64_t count = columns - column;
      float* y = sums + column * kPanelRows;
      if (count >= kTile)
        add_tile<Format, kTile>(piece, tile, blocks * kBlock, y);
      else if (count == 3)
        add_tile<Format, 3>(piece, tile, blocks * kBlock, y);
      else if (count == 2)
        add_tile<Format, 2>(piece, tile, blocks * kBlock, y);
      else
        add_tile<Format, 1>(piece, tile, blocks * kBlock, y);
    }
  }
}

template <class Format>
void many_columns(const MatmulArgs& a) {
  alignas(64) float sums[kBatchColumns * kPanelRows];
  const auto* x = static_cast<const uint8_t*>(a.x);
  for (int64_t first = 0; first < a.columns; first += kBatchColumns) {
    const int64_t left = a.columns - first;
    const int64_t columns = left < kBatchColumns ? left : kBatchColumns;
    for (int64_t panel = a.first_panel; panel < a.last_panel; ++panel) {
      panel_by_batch<Format>(a.panels + panel * a.panel_bytes,
                             x + first / kGroup * quantized_bytes(kGroup, a.k), a.k, columns, sums);
      const int64_t row = panel * kPanelRows;
      for (int64_t c = 0; c < columns; ++c)
        store_first(a.y + (first + c) * a.y_stride + row, load(sums + c * kPanelRows),
                    a.rows - row);
    }
  }
}

template <class Format>
void matmul(const MatmulArgs& a) noexcept {
  constexpr int64_t kMany = 16;
  if constexpr (kUnpackFirst)
    if (a.columns >= kMany) return many_columns<Format>(a);
  const int64_t batch = batch_columns(a.k, a.columns);
  for (int64_t first = 0; first < a.columns; first += batch)
    few_columns<Format>(a, first, first + batch < a.columns ? first + batch : a.columns);
}

}  // namespace

void matmul_q8_0(const MatmulArgs& args) noexcept {
  matmul<Q8_0>(args);
}

void set_integer_matmuls(Kernels& table) noexcept {
  for_each_format([&]<class Format>(auto kind) {
    table.matmul[static_cast<int>(kind.value)] = matmul<Format>;
  });
}

}  // namespace cria::ml::cpu::CRIA_ISA
