#include "ml/cpu/panels.h"

#include "base/error.h"
#include "ml/cpu/row_words.h"
#include "quant/half.h"
#include "quant/iq_groups.h"
#include "quant/ternary.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

namespace cria::ml::cpu {
namespace {

using quant::DType;
using quant::half_to_float;

struct KindRow {
  PanelKind kind;
  std::array<DType, 2> dtypes;
  int64_t sub_blocks;   // blocks of 32 in a superblock
  int64_t head_bytes;   // before a superblock
  int64_t scale_bytes;  // at the start of a block
  int64_t bit_bytes;    // fifth bits, after the scales
  int64_t pair_bytes;   // two bits of each quant
  int64_t quant_bytes;  // the rest: nothing, three bits, nibbles, bytes or plain elements
  constexpr int64_t block_bytes() const {
    return scale_bytes + bit_bytes + pair_bytes + quant_bytes;
  }
  // Where in a quant the pairs are.
  int pair_shift() const { return quant_bytes == 256 ? 4 : 0; }
};

constexpr KindRow row(PanelKind kind, DType dtype, int64_t sub_blocks, int64_t head, int64_t scales,
                      int64_t bits, int64_t pairs, int64_t quants) {
  return {kind, {dtype, dtype}, sub_blocks, head, scales, bits, pairs, quants};
}

constexpr std::array kRows = {
    row(PanelKind::kF32, DType::kF32, 1, 0, 0, 0, 0, 64 * kBlock),
    row(PanelKind::kF16, DType::kF16, 1, 0, 0, 0, 0, 32 * kBlock),
    row(PanelKind::kBF16, DType::kBF16, 1, 0, 0, 0, 0, 32 * kBlock),
    row(PanelKind::kQ4_0, DType::kQ4_0, 1, 0, 32, 0, 0, 256),
    row(PanelKind::kQ4_1, DType::kQ4_1, 1, 0, 64, 0, 0, 256),
    row(PanelKind::kQ5_0, DType::kQ5_0, 1, 0, 32, 64, 0, 256),
    row(PanelKind::kQ5_1, DType::kQ5_1, 1, 0, 64, 64, 0, 256),
    row(PanelKind::kQ8_0, DType::kQ8_0, 1, 0, 32, 0, 0, 512),
    row(PanelKind::kQ4_K, DType::kQ4_K, 8, 64, 32, 0, 0, 256),
    row(PanelKind::kQ5_K, DType::kQ5_K, 8, 64, 32, 64, 0, 256),
    row(PanelKind::kQ6_K, DType::kQ6_K, 8, 32, 32, 0, 128, 256),
    row(PanelKind::kIQ4_NL, DType::kIQ4_NL, 1, 0, 32, 0, 0, 256),
    row(PanelKind::kIQ4_XS, DType::kIQ4_XS, 8, 32, 16, 0, 0, 256),
    row(PanelKind::kMXFP4, DType::kMXFP4, 1, 0, 16, 0, 0, 256),
    row(PanelKind::kQ2_K, DType::kQ2_K, 8, 64, 64, 0, 128, 0),
    row(PanelKind::kQ3_K, DType::kQ3_K, 8, 32, 32, 0, 0, 192),
    KindRow{PanelKind::kTQ, {DType::kTQ1_0, DType::kTQ2_0}, 8, 32, 0, 0, 128, 0},
    row(PanelKind::kIQ2_XXS, DType::kIQ2_XXS, 8, 32, 16, 0, 0, 192),
    KindRow{PanelKind::kIQ2, {DType::kIQ2_XS, DType::kIQ2_S}, 8, 32, 32, 0, 0, 192},
    row(PanelKind::kIQ3_XXS, DType::kIQ3_XXS, 8, 32, 16, 0, 0, 256),
    row(PanelKind::kIQ3_S, DType::kIQ3_S, 8, 32, 16, 0, 0, 256),
    KindRow{PanelKind::kIQ1, {DType::kIQ1_S, DType::kIQ1_M}, 8, 32, 32, 0, 0, 192},
};
static_assert(kRows.size() == kPanelKinds);

constexpr const KindRow& row_of(PanelKind kind) noexcept {
  return kRows[static_cast<size_t>(kind)];
}

constexpr std::array<int8_t, 16> kIq4Values = {-127, -104, -83, -65, -49, -35, -22, -10,
                                               1,    13,   25,  38,  53,  69,  89,  113};
constexpr std::array<int8_t, 16> kFp4Values = {0, 1,  2,  3,  4,  6,  8,  12,
                                               0, -1, -2, -3, -4, -6, -8, -12};

uint8_t byte_at(const std::byte* p, int64_t i) {
  return std::to_integer<uint8_t>(p[i]);
}

uint16_t read_u16(const std::byte* p) {
  uint16_t x;
  std::memcpy(&x, p, 2);
  return x;
}
float read_half(const uint8_t* p) {
  uint16_t x;
  std::memcpy(&x, p, 2);
  return half_to_float(x);
}

constexpr uint32_t kLowNibbles = 0x0f0f0f0f, kPairs = 0x03030303, kBits = 0x01010101;

// The 32 quants of a block of 16 rows, four in a word in memory's order: what a panel keeps
// together. Loops over the 16 lanes become vector instructions.
using Words = std::array<Lanes, 8>;

// Words at `offset` of each block, of which `bits` at `shift` are wanted.
[[gnu::always_inline]] inline void load_part(const Rows& rows, int64_t offset, unsigned shift,
                                             uint32_t bits, Words& q) {
  load_words(rows, offset, q.data());
  load_words(rows, offset + 16, q.data() + 4);
  for (Lanes& lanes : q)
    for (uint32_t& x : lanes) x = x >> shift & bits;
}

// Further bits of each quant, put at `place`.
[[gnu::always_inline]] inline void add_part(const Rows& rows, int64_t offset, unsigned shift,
                                            uint32_t bits, unsigned place, Words& q) {
  Words more;
  load_part(rows, offset, shift, bits, more);
  for (size_t g = 0; g < 8; ++g)
    for (size_t r = 0; r < kLanes; ++r) q[g][r] |= more[g][r] << place;
}

// Bytes hold element j in the low and j + 16 in the high nibble.
void split_nibbles(const Rows& rows, int64_t offset, Words& q) {
  load_words(rows, offset, q.data());
  for (size_t g = 0; g < 4; ++g)
    for (size_t r = 0; r < kLanes; ++r) {
      q[g + 4][r] = q[g][r] >> 4 & kLowNibbles;
      q[g][r] &= kLowNibbles;
    }
}

void add_fifth_bits(const Rows& rows, int64_t offset, Words& q) {
  Lanes all;
  for (size_t r = 0; r < kLanes; ++r) std::memcpy(&all[r], rows[r] + offset, 4);
  for (size_t g = 0; g < 8; ++g)
    for (size_t r = 0; r < kLanes; ++r) {
      const uint32_t four = all[r] >> (4 * g) & 15u;  // a bit to each byte
      q[g][r] |= ((four | four << 7 | four << 14 | four << 21) & kBits) << 4;
    }
}

// Quants that are made row by row.
void put_row(const std::array<uint8_t, kBlock>& codes, size_t r, Words& q) {
  for (size_t g = 0; g < 8; ++g) std::memcpy(&q[g][r], codes.data() + 4 * g, 4);
}

// Scales and minima of Q4_K and Q5_K: 6 bits each in 12 bytes, four sub-blocks to a word.
struct SixBits {
  std::array<Lanes, 2> scales, mins;
};

// The 12 bytes stand behind the two halves of a block; 16 are read, which a block has.
[[gnu::always_inline]] inline void read_six_bits(const Rows& rows, SixBits& out) {
  constexpr uint32_t kLowSix = 0x3f3f3f3f, kUpperTwo = 0x30303030;
  std::array<Lanes, 4> words;
  load_words(rows, 4, words.data());
  for (size_t r = 0; r < kLanes; ++r) {
    const uint32_t scales = words[0][r], mins = words[1][r], last = words[2][r];
    out.scales[0][r] = scales & kLowSix;
    out.mins[0][r] = mins & kLowSix;
    out.scales[1][r] = (last & kLowNibbles) | (scales >> 2 & kUpperTwo);
    out.mins[1][r] = (last >> 4 & kLowNibbles) | (mins >> 2 & kUpperTwo);
  }
}

[[gnu::always_inline]] inline void put_six_bits(const SixBits& all, int64_t sub, uint8_t* scales) {
  const auto word = static_cast<size_t>(sub / 4);
  const auto shift = static_cast<unsigned>(8 * (sub % 4));
  for (size_t r = 0; r < kLanes; ++r) {
    scales[r] = static_cast<uint8_t>(all.scales[word][r] >> shift);
    scales[kLanes + r] = static_cast<uint8_t>(all.mins[word][r] >> shift);
  }
}

// The quants of part `sub` of a native block, without offsets.
[[gnu::always_inline]] inline void native_quants(DType dtype, const Rows& rows, int64_t sub,
                                                 Words& q) {
  const auto one = static_cast<unsigned>(sub), two = 2 * (one % 4), four = 4 * (one % 2);
  const int64_t pair = 32 * (sub / 2), half = sub / 4;  // of 64 and of 128 values
  switch (dtype) {
    case DType::kQ5_0:
      split_nibbles(rows, 6, q);
      return add_fifth_bits(rows, 2, q);
    case DType::kQ5_1:
      split_nibbles(rows, 8, q);
      return add_fifth_bits(rows, 4, q);
    case DType::kQ8_0:
      load_part(rows, 2, 0, ~0u, q);
      for (Lanes& lanes : q)
        for (uint32_t& x : lanes) x ^= 0x80808080u;
      return;
    case DType::kQ5_K:
      load_part(rows, 48 + pair, four, kLowNibbles, q);
      return add_part(rows, 16, one, kBits, 4, q);
    case DType::kQ6_K:
      load_part(rows, 64 * half + 32 * (sub % 2), 4 * (one % 4 / 2), kLowNibbles, q);
      return add_part(rows, 128 + 32 * half, two, kPairs, 4, q);
    case DType::kQ2_K:
      return load_part(rows, 16 + 32 * half, two, kPairs, q);
    case DType::kQ3_K:
      load_part(rows, 32 + 32 * half, two, kPairs, q);
      return add_part(rows, 0, one, kBits, 2, q);
    case DType::kTQ2_0:
      return load_part(rows, 32 * half, two, kPairs, q);
    case DType::kTQ1_0:
      for (size_t r = 0; r < kLanes; ++r) {
        std::array<uint8_t, kBlock> codes;
        quant::tq1_codes(rows[r], sub, codes.data());
        put_row(codes, r, q);
      }
      return;
    default:
      CRIA_CHECK(false, "no panels for this type");
  }
}

void put_lanes(uint8_t* to, const Lanes& lanes) {
  std::memcpy(to, lanes.data(), sizeof lanes);
}

// Formats of nibbles alone, straight as a panel has them: element j low, j + 16 high. All but Q4_K
// store them so; `pair` keeps the words that two of its parts share.
template <DType kType>
[[gnu::always_inline]] inline void copy_nibbles(const Rows& rows, int64_t sub, Words& pair,
                                                uint8_t* out) {
  if constexpr (kType == DType::kQ4_K) {
    if (sub % 2 == 0) {
      load_words(rows, 16 + 16 * sub, pair.data());
      load_words(rows, 32 + 16 * sub, pair.data() + 4);
    }
    for (size_t g = 0; g < 4; ++g) {
      Lanes lanes;
      for (size_t r = 0; r < kLanes; ++r) {
        const uint32_t first = pair[g][r], second = pair[g + 4][r];
        lanes[r] = sub % 2 == 0 ? (first & kLowNibbles) | (second & kLowNibbles) << 4
                                : (first >> 4 & kLowNibbles) | (second & ~kLowNibbles);
      }
      put_lanes(out + 64 * g, lanes);
    }
    return;
  }
  constexpr int64_t kAt = kType == DType::kMXFP4    ? 1
                          : kType == DType::kQ4_1   ? 4
                          : kType == DType::kIQ4_XS ? 8
                                                    : 2;
  load_words(rows, kAt + 16 * sub, pair.data());
  for (size_t g = 0; g < 4; ++g) put_lanes(out + 64 * g, pair[g]);
}

// The part of the panel before a superblock: halves of row `r`.
void pack_head(DType dtype, const std::byte* native, int64_t r, uint8_t* head) {
  const auto put = [&](int64_t to, int64_t from) {
    std::memcpy(head + to + 2 * r, native + from, 2);
  };
  switch (dtype) {
    case DType::kQ4_K:
    case DType::kQ5_K:
      put(0, 0);
      return put(32, 2);
    case DType::kQ2_K:
      put(0, 80);
      return put(32, 82);
    case DType::kQ6_K:
      return put(0, 208);
    case DType::kQ3_K:
      return put(0, 108);
    case DType::kTQ1_0:
      return put(0, 52);
    case DType::kTQ2_0:
      return put(0, 64);
    case DType::kIQ4_XS:
      return put(0, 0);
    default:
      return;  // no head
  }
}

// The scales at the start of a block of 32: those of row `r`.
void pack_scales(DType dtype, const std::byte* native, int64_t sub, int64_t r, uint8_t* scales) {
  switch (dtype) {
    case DType::kQ4_1:
    case DType::kQ5_1:
      std::memcpy(scales + 32 + 2 * r, native + 2, 2);
      [[fallthrough]];
    case DType::kQ4_0:
    case DType::kQ5_0:
    case DType::kQ8_0:
    case DType::kIQ4_NL:
      std::memcpy(scales + 2 * r, native, 2);
      return;
    case DType::kMXFP4:
      scales[r] = byte_at(native, 0);
      return;
    case DType::kQ6_K:
      scales[r] = byte_at(native, 192 + 2 * sub);
      scales[16 + r] = byte_at(native, 192 + 2 * sub + 1);
      return;
    case DType::kIQ4_XS: {
      const int low = byte_at(native, 4 + sub / 2) >> (4 * (sub % 2)) & 15;
      const int high = read_u16(native + 2) >> (2 * sub) & 3;
      scales[r] = static_cast<uint8_t>((low | high << 4) - 32);
      return;
    }
    case DType::kQ2_K:
      for (int64_t half = 0; half < 2; ++half) {
        const uint8_t both = byte_at(native, 2 * sub + half);
        scales[16 * half + r] = both & 15;
        scales[32 + 16 * half + r] = both >> 4;
      }
      return;
    case DType::kQ3_K:
      for (int64_t i = 2 * sub; i < 2 * sub + 2; ++i) {
        const int low = byte_at(native, 96 + i % 8) >> (4 * (i / 8)) & 15;
        const int high = byte_at(native, 104 + i % 4) >> (2 * (i / 4)) & 3;
        scales[16 * (i % 2) + r] = static_cast<uint8_t>((low | high << 4) - 32);
      }
      return;
    case DType::kQ4_K:  // of all rows at once, by SixBits
    case DType::kQ5_K:
    case DType::kTQ1_0:
    case DType::kTQ2_0:
      return;
    default:
      CRIA_CHECK(false, "no panels for this type");
  }
}

// A block's quants behind its scales: every byte is written.
[[gnu::always_inline]] inline void pack_quants(const KindRow& kind, const Words& q, uint8_t* bits) {
  uint8_t* pairs = bits + kind.bit_bytes;
  uint8_t* out = pairs + kind.pair_bytes;
  Lanes lanes;
  if (kind.quant_bytes == 512)
    for (size_t g = 0; g < 8; ++g) put_lanes(out + 64 * g, q[g]);
  if (kind.quant_bytes == 192)
    for (size_t u = 0; u < 3; ++u) {
      for (size_t r = 0; r < kLanes; ++r) {
        const uint32_t rest =
            u < 2 ? q[6 + u][r] & kPairs : (q[6][r] >> 2 & kBits) | (q[7][r] >> 2 & kBits) << 1;
        lanes[r] = q[2 * u][r] | q[2 * u + 1][r] << 3 | rest << 6;
      }
      put_lanes(out + 64 * u, lanes);
    }
  if (kind.quant_bytes == 256)
    for (size_t g = 0; g < 4; ++g) {
      for (size_t r = 0; r < kLanes; ++r)
        lanes[r] = (q[g][r] & kLowNibbles) | (q[g + 4][r] & kLowNibbles) << 4;
      put_lanes(out + 64 * g, lanes);
    }
  if (kind.pair_bytes > 0)
    for (size_t u = 0; u < 2; ++u) {
      const Lanes* const of = q.data() + 4 * u;
      const int shift = kind.pair_shift();
      for (size_t r = 0; r < kLanes; ++r)
        lanes[r] = (of[0][r] >> shift & kPairs) | (of[1][r] >> shift & kPairs) << 2 |
                   (of[2][r] >> shift & kPairs) << 4 | (of[3][r] >> shift & kPairs) << 6;
      put_lanes(pairs + 64 * u, lanes);
    }
  if (kind.bit_bytes > 0) {
    lanes.fill(0);
    for (size_t g = 0; g < 8; ++g)
      for (size_t r = 0; r < kLanes; ++r) lanes[r] |= (q[g][r] >> 4 & kBits) << g;
    put_lanes(bits, lanes);
  }
}

// Quant of element j (0..31) of row r in a packed block.
uint8_t packed_quant(const KindRow& kind, const uint8_t* block, int64_t r, int64_t j) {
  const uint8_t* bits = block + kind.scale_bytes;
  const uint8_t* pairs = bits + kind.bit_bytes;
  const uint8_t* quants = pairs + kind.pair_bytes;
  const int64_t g = j / 4, i = g * 64 + r * 4 + j % 4;
  if (kind.quant_bytes == 512) return quants[i];
  const int64_t at = i % 64;
  int q = 0;
  if (kind.quant_bytes == 192)
    q = g < 6 ? quants[g / 2 * 64 + at] >> (3 * (g % 2)) & 7
              : quants[(g - 6) * 64 + at] >> 6 | (quants[128 + at] >> g & 1) << 2;
  if (kind.quant_bytes == 256) q = g < 4 ? quants[i] & 15 : quants[i - 256] >> 4;
  if (kind.pair_bytes > 0)
    q |= (pairs[i / 256 * 64 + at] >> (2 * (g % 4)) & 3) << kind.pair_shift();
  if (kind.bit_bytes > 0) q |= (bits[at] >> g & 1) << 4;
  return static_cast<uint8_t>(q);
}

// Value of quant q of row r: the formulas of the block formats (src/quant/).
float value_of(PanelKind kind, const uint8_t* head, const uint8_t* scales, int64_t r, int64_t j,
               int q) {
  const uint8_t* s = scales + 2 * r;
  switch (kind) {
    case PanelKind::kQ4_0:
      return read_half(s) * static_cast<float>(q - 8);
    case PanelKind::kQ5_0:
      return read_half(s) * static_cast<float>(q - 16);
    case PanelKind::kQ8_0:
      return read_half(s) * static_cast<float>(q - 128);
    case PanelKind::kQ4_1:
    case PanelKind::kQ5_1:
      return read_half(s) * static_cast<float>(q) + read_half(s + 32);
    case PanelKind::kIQ4_NL:
      return read_half(s) * static_cast<float>(kIq4Values[static_cast<size_t>(q)]);
    case PanelKind::kMXFP4:
      return std::ldexp(static_cast<float>(kFp4Values[static_cast<size_t>(q)]), scales[r] - 128);
    case PanelKind::kQ4_K:
    case PanelKind::kQ5_K: {
      const float d = read_half(head + 2 * r) * static_cast<float>(scales[r]);
      return d * static_cast<float>(q) -
             read_half(head + 32 + 2 * r) * static_cast<float>(scales[16 + r]);
    }
    case PanelKind::kQ6_K: {
      const auto scale = static_cast<int8_t>(scales[16 * (j / 16) + r]);
      return read_half(head + 2 * r) * static_cast<float>(scale) * static_cast<float>(q - 32);
    }
    case PanelKind::kIQ4_XS:
      return read_half(head + 2 * r) * static_cast<float>(static_cast<int8_t>(scales[r])) *
             static_cast<float>(kIq4Values[static_cast<size_t>(q)]);
    case PanelKind::kQ2_K: {
      const int64_t half = 16 * (j / 16) + r;
      const float d = read_half(head + 2 * r) * static_cast<float>(scales[half]);
      return d * static_cast<float>(q) -
             read_half(head + 32 + 2 * r) * static_cast<float>(scales[32 + half]);
    }
    case PanelKind::kQ3_K: {
      const auto scale = static_cast<int8_t>(scales[16 * (j / 16) + r]);
      return read_half(head + 2 * r) * static_cast<float>(scale) * static_cast<float>(q - 4);
    }
    case PanelKind::kTQ:
      return read_half(head + 2 * r) * static_cast<float>(q - 1);
    default: {
      const quant::IqFormat* iq = quant::find_iq_format(row_of(kind).dtypes[0]);
      if (iq == nullptr) return 0;
      const int64_t half = row_of(kind).scale_bytes == 32 ? j / 16 : 0;
      return read_half(head + 2 * r) * iq->factor *
             static_cast<float>(static_cast<int8_t>(scales[16 * half + r])) *
             static_cast<float>(iq->levels[static_cast<size_t>(q)]);
    }
  }
}

constexpr std::optional<PanelKind> kind_of(DType dtype) noexcept {
  for (const KindRow& row : kRows)
    if (std::ranges::find(row.dtypes, dtype) != row.dtypes.end()) return row.kind;
  return std::nullopt;
}

template <class Element>
void pack_plain(std::span<const std::byte> native, int64_t k, uint8_t* panel) {
  constexpr int64_t kWidth = sizeof(Element), kInWord = 4 / kWidth;
  const bool whole = std::ssize(native) == kPanelRows * k * kWidth;
  const std::vector<std::byte> zeros(whole ? 0 : static_cast<size_t>(k * kWidth));
  const Rows rows = rows_of(native, k * kWidth, zeros.data());
  int64_t i = 0;
  for (; i + 4 * kInWord <= k; i += 4 * kInWord) {
    std::array<Lanes, 4> words;
    load_words(rows, i * kWidth, words.data());
    for (const Lanes& lanes : words)
      for (unsigned part = 0; part < kInWord; ++part) {
        std::array<Element, kPanelRows> out;
        for (size_t r = 0; r < kLanes; ++r) out[r] = static_cast<Element>(lanes[r] >> (16 * part));
        std::memcpy(panel, out.data(), sizeof out);
        panel += sizeof out;
      }
  }
  for (; i < k; ++i, panel += kPanelRows * kWidth)
    for (size_t r = 0; r < kLanes; ++r)
      std::memcpy(panel + r * kWidth, rows[r] + i * kWidth, kWidth);
}

// The formats with codebooks: scales of row `r`, its d where a superblock begins, and its quants.
void pack_group(const quant::IqFormat& iq, const std::byte* block, int64_t sub, int64_t r,
                uint8_t* head, std::span<uint8_t> scales, Words& q) {
  if (head != nullptr) {
    const uint16_t half = iq.d(block);
    std::memcpy(head + 2 * r, &half, 2);
  }
  quant::IqGroup group;
  iq.read(block, sub, group);
  const auto row = static_cast<size_t>(r);
  scales[row] = static_cast<uint8_t>(group.scales[0]);
  if (scales.size() == 32) scales[16 + row] = static_cast<uint8_t>(group.scales[1]);
  put_row(group.codes, row, q);
}

// One function for each type, so that the compiler knows it inside the loop.
template <DType kType>
void pack_blocks(std::span<const std::byte> native, int64_t k, uint8_t* panel) {
  constexpr KindRow kShape = row_of(*kind_of(kType));
  const quant::DTypeInfo& type = quant::info(kType);
  const int64_t row_bytes = k / type.block_elements * type.block_bytes;
  const int64_t native_blocks = type.block_elements / kBlock;
  constexpr bool kCodebook = kShape.kind >= PanelKind::kIQ2_XXS;
  const quant::IqFormat* const iq = kCodebook ? quant::find_iq_format(kType) : nullptr;
  const int64_t rows = std::ssize(native) / row_bytes;
  static constexpr std::array<std::byte, 256> kZeros{};  // a block of any type
  CRIA_CHECK(std::cmp_less_equal(type.block_bytes, kZeros.size()), "a block of zeros");
  Rows blocks = rows_of(native, row_bytes, kZeros.data());
  constexpr bool kSixBits = kType == DType::kQ4_K || kType == DType::kQ5_K;
  SixBits six_bits;
  Words q;
  for (int64_t b = 0; b < k / kBlock; ++b) {
    const int64_t sub = b % native_blocks;
    if (b > 0 && sub == 0)
      for (size_t r = 0; r < static_cast<size_t>(rows); ++r) blocks[r] += type.block_bytes;
    uint8_t* head = panel;
    const bool first = b % kShape.sub_blocks == 0;
    if (first) panel += kShape.head_bytes;
    for (int64_t r = 0; r < kPanelRows; ++r) {
      const std::byte* block = blocks[static_cast<size_t>(r)];
      if constexpr (kCodebook) {
        pack_group(*iq, block, sub, r, first ? head : nullptr,
                   {panel, static_cast<size_t>(kShape.scale_bytes)}, q);
      } else {
        if (first) pack_head(kType, block, r, head);
        pack_scales(kType, block, sub, r, panel);
      }
    }
    if constexpr (kSixBits) {
      if (first) read_six_bits(blocks, six_bits);
      put_six_bits(six_bits, sub, panel);
    }
    if constexpr (!kCodebook && kShape.quant_bytes == 256 &&
                  kShape.block_bytes() == kShape.scale_bytes + 256) {
      copy_nibbles<kType>(blocks, sub, q, panel + kShape.scale_bytes);
    } else {
      if constexpr (!kCodebook) native_quants(kType, blocks, sub, q);
      pack_quants(kShape, q, panel + kShape.scale_bytes);
    }
    panel += kShape.block_bytes();
  }
}

using Pack = void (*)(std::span<const std::byte>, int64_t, uint8_t*);

template <size_t... i>
Pack find_pack(DType dtype, std::index_sequence<i...>) {
  Pack found = nullptr;
  const auto look = [&]<size_t kRow, size_t kAlias>() {
    if (kRows[kRow].dtypes[kAlias] == dtype) found = pack_blocks<kRows[kRow].dtypes[kAlias]>;
  };
  constexpr size_t kFirst = 3;  // after the plain ones
  (look.template operator()<kFirst + i, 0>(), ...);
  (look.template operator()<kFirst + i, 1>(), ...);
  return found;
}

}  // namespace

std::optional<PanelKind> panel_kind(DType dtype) noexcept {
  return kind_of(dtype);
}

bool takes_floats(PanelKind kind) noexcept {
  return kind <= PanelKind::kBF16;
}

int64_t panel_bytes(PanelKind kind, int64_t k) noexcept {
  const KindRow& row = row_of(kind);
  if (takes_floats(kind)) return row.quant_bytes / kBlock * k;
  return k / (kBlock * row.sub_blocks) * (row.head_bytes + row.sub_blocks * row.block_bytes());
}

void pack_panel(PanelKind kind, DType dtype, std::span<const std::byte> native, int64_t k,
                uint8_t* panel) {
  if (kind == PanelKind::kF32) return pack_plain<uint32_t>(native, k, panel);
  if (takes_floats(kind)) return pack_plain<uint16_t>(native, k, panel);
  const Pack pack = find_pack(dtype, std::make_index_sequence<kRows.size() - 3>());
  CRIA_CHECK(pack != nullptr, "a type with panels");
  pack(native, k, panel);
}

void unpack_row(PanelKind kind, const uint8_t* panel, int64_t row, int64_t k, float* out) noexcept {
  const KindRow& shape = row_of(kind);
  if (takes_floats(kind)) {
    const int64_t width = shape.quant_bytes / kBlock / kPanelRows;
    for (int64_t i = 0; i < k; ++i) {
      const uint8_t* p = panel + (i * kPanelRows + row) * width;
      uint16_t half = 0;
      std::memcpy(&half, p, 2);
      if (kind == PanelKind::kF32)
        std::memcpy(out + i, p, 4);
      else
        out[i] = kind == PanelKind::kF16 ? half_to_float(half) : quant::bfloat_to_float(half);
    }
    return;
  }
  const uint8_t* head = panel;
  for (int64_t b = 0; b < k / kBlock; ++b) {
    if (b % shape.sub_blocks == 0) {
      head = panel;
      panel += shape.head_bytes;
    }
    for (int64_t j = 0; j < kBlock; ++j)
      out[b * kBlock + j] = value_of(kind, head, panel, row, j, packed_quant(shape, panel, row, j));
    panel += shape.block_bytes();
  }
}

}  // namespace cria::ml::cpu
