// matmul_amx.cpp - y = w x for many columns on Intel's AMX tiles; the contract and thus the bits of
// matmul_integer.cpp. What is not here, and fewer columns, is done by the table for AVX-512, with
// or without BF16.
//
// A piece of a panel (256 k) is unpacked to signed bytes: 8 lines of 16 rows by 4 k for each block
// of 32, which is a tile as TDPBSSD wants it. A group of 16 columns, 32 bytes each, is the other
// tile, as it lies in the activations. One instruction gives the exact sums of the block; scaling
// them takes most of the time, so sums of the next block are under way meanwhile. Source: Intel 64
// and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18.
//
// Only freestanding headers: see simd.h.

#include "ml/cpu/kernels/formats.h"

namespace cria::ml::cpu::CRIA_ISA {
namespace {

static_assert(kGroup == 16 && kBlock == 32 && kPanelRows == 16);
constexpr int64_t kPieceBlocks = 8;      // 256 k: 4 KiB of quants, which stay in the first cache
constexpr int64_t kMostInBatch = 256;    // columns
constexpr int64_t kTileBytes = 16 * 64;  // 16 columns by 16 sums
constexpr int64_t kAhead = 3;            // blocks between products and their use
constexpr int64_t kRing = 4;             // a power of two above kAhead

const Kernels* avx512_table = nullptr;  // set once, before any kernel can run

// Inline assembly rather than intrinsics: GCC 12's do not say that they read and write memory.
template <int kTile>
CRIA_INLINE void load_tile(const void* p, int64_t stride) {
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(p), "r"(stride), "i"(kTile) : "memory");
}
template <int kTile>
CRIA_INLINE void store_tile(void* p, int64_t stride) {
  __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(p), "r"(stride), "i"(kTile) : "memory");
}
// kSum = products of columns in kX with rows in kW.
template <int kSum, int kX, int kW>
CRIA_INLINE void multiply_tiles() {
  __asm__ volatile("tilezero %%tmm%c0\n\ttdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSum), "i"(kX),
                   "i"(kW));
}

struct TileShapes {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t line_bytes[16] = {};
  uint8_t lines[16] = {};
};

// Tiles 0 and 1: sums; 2 and 3: columns; 4 and 5: weights. `k` values of a block at a time.
class Tiles {
 public:
  explicit Tiles(int k) {
    TileShapes shapes;
    for (int i = 0; i < 6; ++i) {
      shapes.lines[i] = static_cast<uint8_t>(i < 4 ? kGroup : k / 4);
      shapes.line_bytes[i] = static_cast<uint16_t>(i / 2 == 1 ? k : 64);
    }
    __asm__ volatile("ldtilecfg %0" ::"m"(shapes));
  }
  ~Tiles() { __asm__ volatile("tilerelease"); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

// A block of a piece: scales as floats, then a signed byte for each quant.
template <class Format>
struct Signed {
  static constexpr int kMinAt = 64, kHalvesAt = Format::kHasMin ? 128 : 64;
  static constexpr int kHalfMinsAt = kHalvesAt + (Format::kHalves ? 128 : 0);
  static constexpr int kQuantsAt = kHalfMinsAt + (Format::kHalves && Format::kHasMin ? 128 : 0);
  static constexpr int kBytes = kQuantsAt + 512;
  static constexpr int kParts = Format::kHalves ? 2 : 1;  // of a block, summed apart
};

CRIA_INLINE float* floats(uint8_t* p) {
  return reinterpret_cast<float*>(p);
}
CRIA_INLINE Floats load_floats(const uint8_t* p) {
  return load(reinterpret_cast<const float*>(p));
}

template <class Format, int g = 0>
CRIA_INLINE void unpack_groups(const uint8_t* p, uint8_t* out) {
  if constexpr (g < 8) {
    constexpr int kOffset = Format::kWide ? 128 : Format::kOffset;
    const __m512i offset = _mm512_set1_epi8(static_cast<char>(kOffset));
    store_bytes(out + 64 * g, {_mm512_sub_epi8(Format::template group<g>(p).v, offset)});
    unpack_groups<Format, g + 1>(p, out);
  }
}

CRIA_INLINE void store_halves(uint8_t* out, const HalfScales& scales) {
  store(floats(out), scales.first);
  store(floats(out + 64), scales.second);
}

// Unpacks `blocks` blocks; returns where the panel goes on.
template <class Format>
const uint8_t* unpack_piece(const uint8_t* p, int64_t blocks, uint8_t* out) {
  using To = Signed<Format>;
  for (int64_t i = 0; i < blocks; i += Format::kSub) {
    const typename Format::Head head = Format::head(p);
    p += Format::kHeadBytes;
    for (int sub = 0; sub < Format::kSub; ++sub, p += Format::kBytes, out += To::kBytes) {
      prefetch_block<Format>(p);
      const Scales s = Format::scales(p, head);
      store(floats(out), s.scale);
      if constexpr (Format::kHasMin) store(floats(out + To::kMinAt), s.min);
      if constexpr (Format::kHalves) store_halves(out + To::kHalvesAt, Format::half_scales(p));
      if constexpr (Format::kHalves && Format::kHasMin)
        store_halves(out + To::kHalfMinsAt, Format::half_mins(p));
      unpack_groups<Format>(p, out + To::kQuantsAt);
    }
  }
  return p;
}

// sums[part][column][row] of one block and group.
template <class Format>
CRIA_INLINE void dot_block(const uint8_t* w, const uint8_t* x, uint8_t* sums) {
  load_tile<4>(w, 64);
  load_tile<2>(x, kBlock);
  multiply_tiles<0, 2, 4>();
  store_tile<0>(sums, 64);
  if constexpr (Format::kHalves) {
    load_tile<5>(w + 256, 64);
    load_tile<3>(x + 16, kBlock);
    multiply_tiles<1, 3, 5>();
    store_tile<1>(sums + kTileBytes, 64);
  }
}

CRIA_INLINE Floats sums_of(const uint8_t* sums, int column) {
  return to_floats({_mm512_load_si512(sums + 64 * column)});
}

// The accumulators of a group: loops over them are unrolled before registers are chosen.
struct Accumulators {
  Floats c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15;

  template <class Body>
  CRIA_INLINE void for_each(const Body& body) {
    body(0, c0), body(1, c1), body(2, c2), body(3, c3);
    body(4, c4), body(5, c5), body(6, c6), body(7, c7);
    body(8, c8), body(9, c9), body(10, c10), body(11, c11);
    body(12, c12), body(13, c13), body(14, c14), body(15, c15);
  }
};

// Adds a block's sums to y, each scaled, in the order of matmul_integer.cpp: where halves have
// scales that is a part of a superblock.
template <class Format>
CRIA_INLINE void add_block(const uint8_t* block, const uint8_t* x, const uint8_t* sums,
                           Accumulators& y) {
  using From = Signed<Format>;
  y.for_each([&](int c, Floats& to) __attribute__((always_inline)) {
    const uint8_t* tail = x + kGroup * kBlock + 4 * c;
    const Floats x_scale = splat(read_float(tail)), sum = sums_of(sums, c);
    if constexpr (Format::kHalves) {
      const Floats both =
          fma(sums_of(sums + kTileBytes, c), load_floats(block + From::kHalvesAt + 64),
              sum * load_floats(block + From::kHalvesAt));
      to = fma(both, x_scale, to);
      return;
    }
    to = fma(sum * x_scale, load_floats(block), to);
    if constexpr (Format::kHasMin)
      to = fma(load_floats(block + From::kMinAt), splat(read_float(tail + 4 * kGroup)), to);
  });
}

// The same of a block's minima where halves have some.
template <class Format>
CRIA_INLINE void add_half_mins(const uint8_t* block, const uint8_t* x, Accumulators& y) {
  using From = Signed<Format>;
  const HalfScales mins = {load_floats(block + From::kHalfMinsAt),
                           load_floats(block + From::kHalfMinsAt + 64)};
  y.for_each([&](int c, Floats& to) __attribute__((always_inline)) {
    const uint8_t* tail = x + kGroup * kBlock + 4 * c;
    const int32_t all = read_int(tail + 8 * kGroup), half = read_int(tail + 12 * kGroup);
    to = fma(weighed_halves(mins, half, all - half), splat(read_float(tail)), to);
  });
}

CRIA_INLINE void set_to_zero(Accumulators& y) {
  y.for_each([](int, Floats& to) { to = splat(0); });
}
// sums += y, the parts of a superblock, by its scale or minimum.
CRIA_INLINE void end_superblock(Accumulators& y, const uint8_t* scale, float* sums) {
  y.for_each([&](int c, Floats& part) __attribute__((always_inline)) {
    store(sums + c * kPanelRows, fma(part, load_floats(scale), load(sums + c * kPanelRows)));
  });
}

// A group of columns over a piece; sums: {16 rows, 16 columns} floats that go on.
template <class Format>
[[gnu::noinline]] void add_tile(const uint8_t* piece, const uint8_t* x, int64_t blocks,
                                float* sums) {
  using From = Signed<Format>;
  static_assert(!Format::kHalves || Format::kSub == kPieceBlocks, "a piece is a superblock");
  constexpr int64_t kStride = column_block_bytes(kGroup);
  alignas(64) uint8_t products[kRing][From::kParts * kTileBytes];
  const auto dot = [&](int64_t i) __attribute__((always_inline)) {
    dot_block<Format>(piece + i * From::kBytes + From::kQuantsAt, x + i * kStride,
                      products[i & (kRing - 1)]);
  };
  Accumulators y;
  if constexpr (Format::kHalves)
    set_to_zero(y);
  else
    y.for_each([&](int c, Floats& to) { to = load(sums + c * kPanelRows); });
  for (int64_t i = 0; i < kAhead && i < blocks; ++i) dot(i);
  for (int64_t i = 0; i < blocks; ++i) {
    if (i + kAhead < blocks) dot(i + kAhead);
    add_block<Format>(piece + i * From::kBytes, x + i * kStride, products[i & (kRing - 1)], y);
  }
  if constexpr (Format::kHalves) {
    end_superblock(y, piece, sums);
    if constexpr (Format::kHasMin) {
      set_to_zero(y);
      for (int64_t i = 0; i < blocks; ++i)
        add_half_mins<Format>(piece + i * From::kBytes, x + i * kStride, y);
      end_superblock(y, piece + From::kMinAt, sums);
    }
  } else {
    y.for_each([&](int c, Floats& from) { store(sums + c * kPanelRows, from); });
  }
}

// One panel by whole groups of columns, kMostInBatch at most.
template <class Format>
void panel_by_batch(const uint8_t* panel, const uint8_t* x, int64_t k, int64_t columns,
                    float* sums) {
  alignas(64) uint8_t piece[kPieceBlocks * Signed<Format>::kBytes];
  for (int64_t c = 0; c < columns * kPanelRows; ++c) sums[c] = 0;
  for (int64_t block = 0; block < k / kBlock; block += kPieceBlocks) {
    const int64_t left = k / kBlock - block;
    const int64_t blocks = left < kPieceBlocks ? left : kPieceBlocks;
    panel = unpack_piece<Format>(panel, blocks, piece);
    const uint8_t* group = x + block * column_block_bytes(kGroup);
    for (int64_t c = 0; c < columns; c += kGroup, group += quantized_bytes(kGroup, k))
      add_tile<Format>(piece, group, blocks, sums + c * kPanelRows);
  }
}

template <class Format>
void whole_groups(const MatmulArgs& a, int64_t columns) {
  const Tiles tiles(Format::kHalves ? 16 : 32);
  alignas(64) float sums[kMostInBatch * kPanelRows];
  const auto* x = static_cast<const uint8_t*>(a.x);
  const int64_t batch = batch_columns(a.k, kMostInBatch);
  for (int64_t first = 0; first < columns; first += batch) {
    const int64_t count = columns - first < batch ? columns - first : batch;
    for (int64_t panel = a.first_panel; panel < a.last_panel; ++panel) {
      panel_by_batch<Format>(a.panels + panel * a.panel_bytes,
                             x + first / kGroup * quantized_bytes(kGroup, a.k), a.k, count, sums);
      const int64_t row = panel * kPanelRows;
      for (int64_t c = 0; c < count; ++c)
        store_first(a.y + (first + c) * a.y_stride + row, load(sums + c * kPanelRows),
                    a.rows - row);
    }
  }
}

template <class Format, PanelKind kKind>
void matmul(const MatmulArgs& a) noexcept {
  const int64_t whole = a.columns / kGroup * kGroup;
  if (whole > 0) whole_groups<Format>(a, whole);
  if (whole == a.columns) return;
  MatmulArgs rest = a;
  rest.x = static_cast<const uint8_t*>(a.x) + whole / kGroup * quantized_bytes(kGroup, a.k);
  rest.columns = a.columns - whole;
  rest.y = a.y + whole * a.y_stride;
  avx512_table->matmul[static_cast<int>(kKind)](rest);
}

// Products of full tiles; see Kernels::probe_int8.
int64_t probe_int8(int64_t rounds) noexcept {
  TileShapes shapes;
  for (int i = 0; i < 8; ++i) {
    shapes.lines[i] = 16;
    shapes.line_bytes[i] = 64;
  }
  alignas(64) static constexpr uint8_t kOnes[1024] = {1};
  __asm__ volatile("ldtilecfg %0" ::"m"(shapes));
  load_tile<6>(kOnes, 64);
  load_tile<7>(kOnes, 64);
  const int64_t steps = rounds / 4;
  for (int64_t i = 0; i < steps; ++i)
    __asm__ volatile(
        "tdpbssd %%tmm7, %%tmm6, %%tmm0\n\ttdpbssd %%tmm7, %%tmm6, %%tmm1\n\t"
        "tdpbssd %%tmm7, %%tmm6, %%tmm2\n\ttdpbssd %%tmm7, %%tmm6, %%tmm3" ::);
  __asm__ volatile("tilerelease");
  return steps * 4 * 2 * 16 * 16 * 64;
}

}  // namespace

void fill_table(Kernels& table, const Kernels& avx512) noexcept {
  avx512_table = &avx512;
  table = avx512;
  table.name = "amx";
  table.probe_int8 = probe_int8;
  for_each_format([&]<class Format>(auto kind) {
    table.matmul[static_cast<int>(kind.value)] = matmul<Format, kind.value>;
  });
}

}  // namespace cria::ml::cpu::CRIA_ISA
