// matmul_integer.cpp - y = w x for block-quantised weights in panels and 8-bit activations.
// Oracle: ml/reference on the dequantised weights; layouts: ml/cpu/panels.h.
//
// One contract for every instruction set and number of columns, so that results are equal bit by
// bit: within a block of 32 the sum of products is exact in int32; then, in ascending block order,
// acc = fma(float(sum) * activation_scale, weight_scale, acc), and with minima
// acc = fma(weight_min, activation_scale * activation_sum, acc). Where scales or minima are per 16,
// the halves are weighed by them before, in int32 or so that it rounds the same (simd.h), and a
// superblock is added up first: part = fma(float(weighed sum), activation_scale, part) for each of
// its blocks, then acc = fma(part, weight_scale, acc), and so for its minima behind that.

#include "ml/cpu/kernels/formats.h"
#include "ml/cpu/kernels/row_ops.h"
#include "ml/cpu/kernels/tiles.h"

namespace cria::ml::cpu::CRIA_ISA {
namespace {

// Columns at once of one panel, and of two neighbours, for which a column's values are loaded once.
#if defined(__AVX512F__)
constexpr int kTile = 8, kPairTile = 6;  // halves of blocks spill some, and are faster all the same
#elif defined(__AVX2__) || defined(CRIA_NEON)
constexpr int kTile = 4, kPairTile = 0;
#else
constexpr int kTile = 1, kPairTile = 0;  // nothing to gain, and a minute of compilation to lose
#endif

// A tile's columns: where their values and what stands behind these are, in one block after
// another.
struct Columns {
  const uint8_t* first;  // the first column's values
  const uint8_t* tails;  // its scale
  int64_t field;         // bytes from one field of the tails to the next
  int64_t stride;        // bytes from one block to the next
  // `block` is a block of a group of so many columns.
  CRIA_INLINE Columns(const uint8_t* block, int64_t group_columns, int64_t column)
      : first(block + column * kBlock),
        tails(block + group_columns * kBlock + column * 4),
        field(group_columns * 4),
        stride(column_block_bytes(group_columns)) {}
  CRIA_INLINE const int8_t* values(int c) const { return signed_bytes(first + c * kBlock); }
  CRIA_INLINE const uint8_t* tail(int i, int c) const { return tails + i * field + c * 4; }
  CRIA_INLINE void next() {
    first += stride;
    tails += stride;
  }
};

template <class Format>
CRIA_INLINE Ints start(int32_t sum) {
  if constexpr (Format::kWide) return wide_start(sum);
  return splat_int(-Format::kOffset * sum);
}

// kPanels panels, one behind another.
template <int kPanels>
struct Panels {
  const uint8_t* p;
  int64_t bytes;  // of one
  CRIA_INLINE const uint8_t* operator[](int q) const { return kPanels == 1 ? p : p + q * bytes; }
};

// What comes from memory next is asked for while the tiles of a pair are multiplied, some lines in
// each block, so that reading it costs no time of its own.
struct Ahead {
  const uint8_t* p;
  const uint8_t* end;
  int64_t bytes;  // a block
  CRIA_INLINE void ask() {
    if (p >= end) return;
    for (int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(p + at, 0, 2);
    p += bytes;
  }
};

// acc += the products of groups g to kEnd - 1, one after another.
template <class Format, int kPanels, int kColumns, int g, int kEnd>
CRIA_INLINE void dot_wide_groups(Ints (&acc)[kPanels][kColumns], const Panels<kPanels>& p,
                                 const Columns& x) {
  if constexpr (g < kEnd) {
    Bytes w[kPanels];
    for (int q = 0; q < kPanels; ++q) w[q] = Format::template group<g>(p[q]);
    for (int c = 0; c < kColumns; ++c)
      for (int q = 0; q < kPanels; ++q) acc[q][c] = dot_wide(acc[q][c], w[q], x.values(c) + 4 * g);
    dot_wide_groups<Format, kPanels, kColumns, g + 1, kEnd>(acc, p, x);
  }
}

template <class Format, int kPanels, int kColumns, int g, int kEnd>
CRIA_INLINE void dot_pair_groups(Pairs (&acc)[kPanels][kColumns], const Panels<kPanels>& p,
                                 const Columns& x) {
  if constexpr (g < kEnd) {
    Bytes w[kPanels];
    for (int q = 0; q < kPanels; ++q) w[q] = Format::template group<g>(p[q]);
    for (int c = 0; c < kColumns; ++c)
      for (int q = 0; q < kPanels; ++q) acc[q][c] = dot_pairs(acc[q][c], w[q], x.values(c) + 4 * g);
    dot_pair_groups<Format, kPanels, kColumns, g + 1, kEnd>(acc, p, x);
  }
}

// The same for narrow quants, as many groups at a time as their 16-bit sums can hold;
// end(q, c, sums) takes what came out for panel q and column c.
template <class Format, int kPanels, int kColumns, int g, int kEnd, class End>
CRIA_INLINE void dot_narrow_groups(const Panels<kPanels>& p, const Columns& x,
                                   const Ints (&begin)[kPanels][kColumns], const End& end) {
  if constexpr (g < kEnd) {
    constexpr int kFit = 32767 / (2 * 127 * Format::kMax);
    constexpr int kNext = g + kFit < kEnd ? g + kFit : kEnd;
    Pairs pairs[kPanels][kColumns];
    for (int q = 0; q < kPanels; ++q)
      for (int c = 0; c < kColumns; ++c) pairs[q][c] = begin_pairs(begin[q][c]);
    dot_pair_groups<Format, kPanels, kColumns, g, kNext>(pairs, p, x);
    for (int q = 0; q < kPanels; ++q)
      for (int c = 0; c < kColumns; ++c) end(q, c, pairs[q][c]);
    dot_narrow_groups<Format, kPanels, kColumns, kNext, kEnd>(p, x, begin, end);
  }
}

// The sums of a block for each row and column, scaled where halves have scales: exact integers, or
// rounded once to float where they are too large.
template <class Format, int kPanels, int kColumns>
CRIA_INLINE void dot_block(Floats (&out)[kPanels][kColumns], const Panels<kPanels>& p,
                           const Columns& x) {
  Ints acc[kPanels][kColumns];
  const auto begin = [&](const auto& sum_of_column) {
    for (int c = 0; c < kColumns; ++c) {
      const Ints first = start<Format>(sum_of_column(c));
      for (int q = 0; q < kPanels; ++q) acc[q][c] = first;
    }
  };
  const auto end = [&](int q, int c, Pairs sums) { acc[q][c] = end_pairs(acc[q][c], sums); };
  if constexpr (Format::kHalves && kFloatHalves) {
    begin([&](int c) { return read_int(x.tail(3, c)); });
    dot_narrow_groups<Format, kPanels, kColumns, 0, 4>(p, x, acc, end);
    for (int q = 0; q < kPanels; ++q) {
      const Floats scale = Format::half_scales(p[q]).first;
      for (int c = 0; c < kColumns; ++c) out[q][c] = to_floats(acc[q][c]) * scale;
    }
    begin([&](int c) { return read_int(x.tail(2, c)) - read_int(x.tail(3, c)); });
    dot_narrow_groups<Format, kPanels, kColumns, 4, 8>(p, x, acc, end);
    for (int q = 0; q < kPanels; ++q) {
      const Floats scale = Format::half_scales(p[q]).second;
      for (int c = 0; c < kColumns; ++c) out[q][c] = fma(to_floats(acc[q][c]), scale, out[q][c]);
    }
    return;
  } else if constexpr (Format::kHalves) {
    static_assert(kPanels == 1);
    const auto scales = Format::half_scales(p[0]);
    Ints zero[1][kColumns];
    for (int c = 0; c < kColumns; ++c) {
      const int32_t sum = read_int(x.tail(2, c)), half = read_int(x.tail(3, c));
      acc[0][c] = splat_int(-Format::kOffset) * weigh_halves(scales, half, sum - half);
      zero[0][c] = splat_int(0);
    }
    dot_narrow_groups<Format, 1, kColumns, 0, 4>(p, x, zero, [&](int, int c, Pairs sums) {
      acc[0][c] = end_first_half(acc[0][c], sums, scales);
    });
    dot_narrow_groups<Format, 1, kColumns, 4, 8>(p, x, zero, [&](int, int c, Pairs sums) {
      acc[0][c] = end_second_half(acc[0][c], sums, scales);
    });
  } else {
    begin([&](int c) { return read_int(x.tail(2, c)); });
    if constexpr (Format::kWide)
      dot_wide_groups<Format, kPanels, kColumns, 0, 8>(acc, p, x);
    else
      dot_narrow_groups<Format, kPanels, kColumns, 0, 8>(p, x, acc, end);
  }
  for (int q = 0; q < kPanels; ++q)
    for (int c = 0; c < kColumns; ++c) out[q][c] = to_floats(acc[q][c]);
}

// What comes from memory after this block.
template <class Format, int kPanels, int kColumns>
CRIA_INLINE void look_ahead(const Panels<kPanels>& p, Ahead& ahead) {
  if constexpr (kPanels > 1)
    ahead.ask();
  else if constexpr (Format::kStreams && kColumns <= 4)
    prefetch_block<Format>(p[0]);
}

// y += the minima of a superblock by the sums of the columns' halves.
template <class Format, int kPanels, int kColumns>
CRIA_INLINE void add_half_mins(Panels<kPanels> p, Columns x, const Scales (&s)[kPanels],
                               Floats (&y)[kPanels][kColumns]) {
  Floats part[kPanels][kColumns];
  for (int q = 0; q < kPanels; ++q)
    for (int c = 0; c < kColumns; ++c) part[q][c] = splat(0);
  for (int sub = 0; sub < Format::kSub; ++sub, p.p += Format::kBytes, x.next())
    for (int q = 0; q < kPanels; ++q) {
      const auto mins = Format::half_mins(p[q]);
      for (int c = 0; c < kColumns; ++c) {
        const int32_t sum = read_int(x.tail(2, c)), half = read_int(x.tail(3, c));
        part[q][c] = fma(weighed_halves(mins, half, sum - half), splat(read_float(x.tail(0, c))),
                         part[q][c]);
      }
    }
  for (int q = 0; q < kPanels; ++q)
    for (int c = 0; c < kColumns; ++c) y[q][c] = fma(part[q][c], s[q].min, y[q][c]);
}

// y += a superblock whose halves of blocks have scales; p and x go on behind it.
template <class Format, int kPanels, int kColumns>
CRIA_INLINE void add_halves(Panels<kPanels>& p, Columns& x,
                            const typename Format::Head (&head)[kPanels], Ahead& ahead,
                            Floats (&y)[kPanels][kColumns]) {
  const Panels<kPanels> blocks = p;
  const Columns columns = x;
  Floats part[kPanels][kColumns];
  for (int q = 0; q < kPanels; ++q)
    for (int c = 0; c < kColumns; ++c) part[q][c] = splat(0);
  for (int sub = 0; sub < Format::kSub; ++sub, p.p += Format::kBytes, x.next()) {
    look_ahead<Format, kPanels, kColumns>(p, ahead);
    Floats sums[kPanels][kColumns];
    dot_block<Format, kPanels, kColumns>(sums, p, x);
    for (int c = 0; c < kColumns; ++c) {
      const Floats scale = splat(read_float(x.tail(0, c)));
      for (int q = 0; q < kPanels; ++q) part[q][c] = fma(sums[q][c], scale, part[q][c]);
    }
  }
  Scales s[kPanels];
  for (int q = 0; q < kPanels; ++q) s[q] = Format::scales(blocks[q], head[q]);
  for (int q = 0; q < kPanels; ++q)
    for (int c = 0; c < kColumns; ++c) y[q][c] = fma(part[q][c], s[q].scale, y[q][c]);
  if constexpr (Format::kHasMin) add_half_mins<Format, kPanels, kColumns>(blocks, columns, s, y);
}

// y += a superblock of any other format.
template <class Format, int kPanels, int kColumns>
CRIA_INLINE void add_blocks(Panels<kPanels>& p, Columns& x,
                            const typename Format::Head (&head)[kPanels], Ahead& ahead,
                            Floats (&y)[kPanels][kColumns]) {
  for (int sub = 0; sub < Format::kSub; ++sub, p.p += Format::kBytes, x.next()) {
    look_ahead<Format, kPanels, kColumns>(p, ahead);
    Floats sums[kPanels][kColumns];
    dot_block<Format, kPanels, kColumns>(sums, p, x);
    Scales s[kPanels];
    for (int q = 0; q < kPanels; ++q) s[q] = Format::scales(p[q], head[q]);
    for (int c = 0; c < kColumns; ++c) {
      const Floats scale = splat(read_float(x.tail(0, c)));
      for (int q = 0; q < kPanels; ++q) y[q][c] = fma(sums[q][c] * scale, s[q].scale, y[q][c]);
    }
    if constexpr (Format::kHasMin)
      for (int c = 0; c < kColumns; ++c) {
        const Floats weighed = splat(read_float(x.tail(1, c)));
        for (int q = 0; q < kPanels; ++q) y[q][c] = fma(s[q].min, weighed, y[q][c]);
      }
  }
}

// kPanels times 16 rows by kColumns columns over k values: y += w x.
template <class Format, int kPanels, int kColumns>
CRIA_INLINE void tile(Panels<kPanels> p, Columns x, int64_t k, Ahead& ahead,
                      Floats (&y)[kPanels][kColumns]) {
  for (int64_t i = 0; i < k; i += kBlock * Format::kSub) {
    typename Format::Head head[kPanels];
    for (int q = 0; q < kPanels; ++q) head[q] = Format::head(p[q]);
    p.p += Format::kHeadBytes;
    if constexpr (Format::kHalves) {
      if constexpr (kPanels > 1) __asm__("" : "+m"(y));  // no registers for it meanwhile
      add_halves<Format, kPanels, kColumns>(p, x, head, ahead, y);
    } else {
      add_blocks<Format, kPanels, kColumns>(p, x, head, ahead, y);
    }
  }
}

template <class Format, int kPanels, int kColumns>
[[gnu::noinline]] void tile_out(const Panels<kPanels>& p, const Columns& x, int64_t k, Ahead& ahead,
                                float* y, int64_t y_stride, int64_t rows) {
  Floats sums[kPanels][kColumns];
  for (int q = 0; q < kPanels; ++q)
    for (int c = 0; c < kColumns; ++c) sums[q][c] = splat(0);
  tile<Format, kPanels, kColumns>(p, x, k, ahead, sums);
  for (int q = 0; q < kPanels; ++q)
    for (int c = 0; c < kColumns; ++c)
      store_first(y + c * y_stride + q * kPanelRows, sums[q][c], rows - q * kPanelRows);
}

template <class Format, int kPanels, int kColumns>
CRIA_INLINE void some_columns(int64_t count, const Panels<kPanels>& p, const Columns& x, int64_t k,
                              Ahead& ahead, float* y, int64_t y_stride, int64_t rows) {
  if (count == kColumns)
    return tile_out<Format, kPanels, kColumns>(p, x, k, ahead, y, y_stride, rows);
  if constexpr (kColumns > 1)
    some_columns<Format, kPanels, kColumns - 1>(count, p, x, k, ahead, y, y_stride, rows);
}

// Columns [first, last) of kPanels panels; `first` begins a group.
template <class Format, int kPanels, int kMost>
CRIA_INLINE void columns_of(const MatmulArgs& a, int64_t panel, int64_t first, int64_t last) {
  const auto* x = static_cast<const uint8_t*>(a.x);
  const int64_t group_bytes = quantized_bytes(kGroup, a.k), row = panel * kPanelRows;
  const Panels<kPanels> w = {a.panels + panel * a.panel_bytes, a.panel_bytes};
  Ahead ahead = {};
  if constexpr (kPanels > 1) {
    const int64_t bytes = kPanels * a.panel_bytes, tiles = (last - first + kMost - 1) / kMost;
    const int64_t part = bytes / (a.k / kBlock) / tiles;
    ahead = {.p = w.p + bytes, .end = w.p + 2 * bytes, .bytes = (part + 63) / 64 * 64};
  }
  for (int64_t column = first; column < last; column += kGroup) {
    const int64_t left = a.columns - column;
    const int64_t columns = left < kGroup ? left : kGroup;
    for_tiles(columns, kMost, [&](int64_t done, int64_t count) {
      const Columns some(x + column / kGroup * group_bytes, columns, done);
      some_columns<Format, kPanels, kMost>(count, w, some, a.k, ahead,
                                           a.y + (column + done) * a.y_stride + row, a.y_stride,
                                           a.rows - row);
    });
  }
}

// Columns [first, last) of all panels.
template <class Format>
CRIA_INLINE void few_columns(const MatmulArgs& a, int64_t first, int64_t last) {
  const auto one = [&](int64_t panel) { columns_of<Format, 1, kTile>(a, panel, first, last); };
  if constexpr (kPairTile > 0)
    return for_panels(
        a, last - first,
        [&](int64_t panel) { columns_of<Format, 2, kPairTile>(a, panel, first, last); }, one);
  for (int64_t panel = a.first_panel; panel < a.last_panel; ++panel) one(panel);
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
  static constexpr int kSub = Format::kHalves ? Format::kSub : 1, kHeadBytes = 0;
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
  Floats sums[1][kColumns];
  for (int c = 0; c < kColumns; ++c) sums[0][c] = load(y + c * kPanelRows);
  Ahead ahead = {};
  tile<Unpacked<Format>, 1, kColumns>({piece, 0}, x, k, ahead, sums);
  for (int c = 0; c < kColumns; ++c) store(y + c * kPanelRows, sums[0][c]);
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
      const Columns tile(
          x + group / kGroup * group_bytes + block * column_block_bytes(group_columns),
          group_columns, column - group);
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
