// packing.cpp - native rows of a weight into panels (panels.h), 16 rows at a time.

#include "base/error.h"
#include "ml/cpu/panel_kinds.h"
#include "ml/cpu/panels.h"
#include "ml/cpu/row_words.h"
#include "quant/iq_groups.h"
#include "quant/ternary.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

namespace cria::ml::cpu {
namespace {

using quant::DType;

uint8_t byte_at(const std::byte* p, int64_t i) {
  return std::to_integer<uint8_t>(p[i]);
}

uint16_t read_u16(const std::byte* p) {
  uint16_t x;
  std::memcpy(&x, p, 2);
  return x;
}

constexpr uint32_t kLowNibbles = 0x0f0f0f0f, kPairs = 0x03030303, kBits = 0x01010101;

// ---- what stands before a superblock, and before a block ----

// Halves of row `r` before a superblock.
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
    case DType::kIQ4_XS: {
      const int low = byte_at(native, 4 + sub / 2) >> (4 * (sub % 2)) & 15;
      const int high = read_u16(native + 2) >> (2 * sub) & 3;
      scales[r] = static_cast<uint8_t>((low | high << 4) - 32);
      return;
    }
    default:
      return;  // none, or of all rows at once: pack_byte_scales
  }
}

using Sixteen [[gnu::vector_size(16)]] = uint8_t;

// A word of each of 16 rows: byte b of all of them goes to out[b].
[[gnu::always_inline]] inline void split_bytes(const Lanes& words, std::array<Sixteen, 4>& out) {
  std::memcpy(out.data(), words.data(), sizeof words);
  for (int round = 0; round < 4; ++round) {  // each turns the 6 bits of a byte's place by one
    const std::array<Sixteen, 4> in = out;
    for (size_t i = 0; i < 2; ++i) {
      out[2 * i] = __builtin_shufflevector(in[i], in[i + 2], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5,
                                           21, 6, 22, 7, 23);
      out[2 * i + 1] = __builtin_shufflevector(in[i], in[i + 2], 8, 24, 9, 25, 10, 26, 11, 27, 12,
                                               28, 13, 29, 14, 30, 15, 31);
    }
  }
}

// Scales and minima of Q4_K and Q5_K: 6 bits each in 12 bytes, four sub-blocks to a word. The 12
// bytes stand before the quants; 16 are read.
[[gnu::always_inline]] inline void six_bits(const Rows& rows, std::array<Lanes, 2>& scales,
                                            std::array<Lanes, 2>& mins) {
  constexpr uint32_t kLowSix = 0x3f3f3f3f, kUpperTwo = 0x30303030;
  std::array<Lanes, 4> words;
  load_words(rows, 4, words.data());
  for (size_t r = 0; r < kLanes; ++r) {
    const uint32_t scale = words[0][r], min = words[1][r], last = words[2][r];
    scales[0][r] = scale & kLowSix;
    mins[0][r] = min & kLowSix;
    scales[1][r] = (last & kLowNibbles) | (scale >> 2 & kUpperTwo);
    mins[1][r] = (last >> 4 & kLowNibbles) | (min >> 2 & kUpperTwo);
  }
}

// The scales of Q3_K, plus 32: four bits in 8 bytes, the upper two in 4.
[[gnu::always_inline]] inline void low_and_high_bits(const Rows& rows,
                                                     std::array<Lanes, 4>& scales) {
  for (size_t r = 0; r < kLanes; ++r) {
    std::array<uint32_t, 3> words;
    std::memcpy(words.data(), rows[r] + 96, sizeof words);
    for (size_t i = 0; i < 4; ++i)
      scales[i][r] = (words[i % 2] >> (4 * (i / 2)) & kLowNibbles) | (words[2] >> (2 * i) & kPairs)
                                                                         << 4;
  }
}

// The scales of a superblock that are bytes: of its first block at `scales`, the next ones `stride`
// bytes on.
template <DType kType>
[[gnu::always_inline]] inline void pack_byte_scales(const Rows& rows, uint8_t* scales,
                                                    int64_t stride) {
  const auto put = [](uint8_t* to, Sixteen bytes) { std::memcpy(to, &bytes, sizeof bytes); };
  std::array<Sixteen, 4> bytes;
  if constexpr (kType == DType::kQ4_K || kType == DType::kQ5_K) {
    std::array<Lanes, 2> values, mins;
    six_bits(rows, values, mins);
    for (int64_t word = 0; word < 2; ++word)
      for (const int64_t at : {0, 16}) {
        split_bytes((at == 0 ? values : mins)[static_cast<size_t>(word)], bytes);
        for (int64_t b = 0; b < 4; ++b)
          put(scales + (4 * word + b) * stride + at, bytes[static_cast<size_t>(b)]);
      }
  }
  // 16 of them, two to a block: in Q2_K with the minimum in the high nibble, in Q3_K 6 bits in 12
  // bytes.
  if constexpr (kType == DType::kQ6_K || kType == DType::kQ2_K || kType == DType::kQ3_K) {
    constexpr bool kMins = kType == DType::kQ2_K, kSixBits = kType == DType::kQ3_K;
    std::array<Lanes, 4> words;
    if (kSixBits)
      low_and_high_bits(rows, words);
    else
      load_words(rows, kMins ? 0 : 192, words.data());
    for (int64_t word = 0; word < 4; ++word) {
      split_bytes(words[static_cast<size_t>(word)], bytes);
      for (int64_t b = 0; b < 4; ++b) {
        uint8_t* const to = scales + (2 * word + b / 2) * stride + 16 * (b % 2);
        const Sixteen both = bytes[static_cast<size_t>(b)];
        put(to, kMins ? both & 15 : kSixBits ? both - 32 : both);
        if (kMins) put(to + 32, both >> 4);
      }
    }
  }
}

// ---- quants: those of four rows, in vectors of a word of each ----

void put(uint8_t* to, Four words) {
  std::memcpy(to, &words, sizeof words);
}

// Four vectors for groups that follow each other.
[[gnu::always_inline]] inline void put_groups(uint8_t* to, Quad rows) {
  transpose(rows);
  for (size_t g = 0; g < 4; ++g) put(to + 64 * g, rows[g]);
}

// Exchanges the fields of b at `mask` with those of a that stand `shift` higher.
[[gnu::always_inline]] inline void exchange(Four& a, Four& b, unsigned shift, uint32_t mask) {
  const Four differ = ((a >> shift) ^ b) & mask;
  b ^= differ;
  a ^= differ << shift;
}

// Bytes of four fields of two bits: field j of x[i] becomes field i of x[j].
[[gnu::always_inline]] inline void transpose_pairs(Quad& x) {
  for (const size_t i : {0U, 2U}) exchange(x[i], x[i + 1], 2, 0x33333333);
  for (const size_t i : {0U, 1U}) exchange(x[i], x[i + 2], 4, 0x0f0f0f0f);
}

// Bytes of eight bits: bit j of x[i] becomes bit i of x[j].
[[gnu::always_inline]] inline void transpose_bits(std::array<Four, 8>& x) {
  for (const size_t i : {0U, 2U, 4U, 6U}) exchange(x[i], x[i + 1], 1, 0x55555555);
  for (const size_t i : {0U, 1U, 4U, 5U}) exchange(x[i], x[i + 2], 2, 0x33333333);
  for (const size_t i : {0U, 1U, 2U, 3U}) exchange(x[i], x[i + 4], 4, 0x0f0f0f0f);
}

// Eight words of each row.
[[gnu::always_inline]] inline std::array<Four, 8> load_eight(const Rows& rows, size_t quad,
                                                             int64_t offset) {
  Quad low = load_quad(rows, quad, offset), high = load_quad(rows, quad, offset + 16);
  transpose(low);
  transpose(high);
  return {low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]};
}

// 32 bytes at `offset` are the low nibbles of one block, and the high ones of another.
[[gnu::always_inline]] inline void pack_two_blocks(const Rows& rows, size_t quad, int64_t offset,
                                                   uint8_t* first, uint8_t* second) {
  const Quad a = load_quad(rows, quad, offset), b = load_quad(rows, quad, offset + 16);
  Quad low, high;
  for (size_t i = 0; i < 4; ++i) {
    low[i] = (a[i] & kLowNibbles) | (b[i] & kLowNibbles) << 4;
    high[i] = (a[i] >> 4 & kLowNibbles) | (b[i] & ~kLowNibbles);
  }
  put_groups(first, low);
  put_groups(second, high);
}

// 32 bytes at `offset` are two bits of each value of four blocks, `stride` bytes apart.
[[gnu::always_inline]] inline void pack_pairs(const Rows& rows, size_t quad, int64_t offset,
                                              uint8_t* to, int64_t stride) {
  for (const int64_t part : {0, 1}) {
    Quad x = load_quad(rows, quad, offset + 16 * part);
    transpose(x);
    transpose_pairs(x);
    for (int64_t block = 0; block < 4; ++block)
      put(to + block * stride + 64 * part, x[static_cast<size_t>(block)]);
  }
}

// 32 bytes at `offset` are a bit of each value of eight blocks, `stride` bytes apart.
[[gnu::always_inline]] inline void pack_bits(const Rows& rows, size_t quad, int64_t offset,
                                             uint8_t* to, int64_t stride) {
  std::array<Four, 8> x = load_eight(rows, quad, offset);
  transpose_bits(x);
  for (int64_t block = 0; block < 8; ++block)
    put(to + block * stride, x[static_cast<size_t>(block)]);
}

// 32 bits at `offset`, one for each value of the block.
[[gnu::always_inline]] inline void pack_word_of_bits(const Rows& rows, size_t quad, int64_t offset,
                                                     uint8_t* to) {
  Four all, out = {};
  for (size_t i = 0; i < 4; ++i) {
    uint32_t word;
    std::memcpy(&word, rows[4 * quad + i] + offset, sizeof word);
    all[i] = word;
  }
  for (unsigned g = 0; g < 8; ++g) {
    const Four four = all >> (4 * g) & 15u;  // a bit to each byte
    out |= ((four | four << 7 | four << 14 | four << 21) & kBits) << g;
  }
  put(to, out);
}

// Codes of three bits, from `code(g)`, which gives those of group g.
template <class Code>
[[gnu::always_inline]] inline void pack_triples(const Code& code, uint8_t* to) {
  const Four six = code(6), seven = code(7);
  put(to, code(0) | code(1) << 3 | (six & kPairs) << 6);
  put(to + 64, code(2) | code(3) << 3 | (seven & kPairs) << 6);
  put(to + 128, code(4) | code(5) << 3 | (six >> 2 & kBits) << 6 | (seven >> 2 & kBits) << 7);
}

// The quants of all blocks of 32 that a native block of these four rows has. `to`: where those of
// the first one belong, of these rows; the next ones are `stride` bytes on.
template <DType kType>
[[gnu::always_inline]] inline void pack_quants(const Rows& rows, size_t quad, uint8_t* to,
                                               int64_t stride) {
  if constexpr (kType == DType::kQ4_0 || kType == DType::kIQ4_NL) {
    put_groups(to, load_quad(rows, quad, 2));
  } else if constexpr (kType == DType::kQ4_1) {
    put_groups(to, load_quad(rows, quad, 4));
  } else if constexpr (kType == DType::kMXFP4) {
    put_groups(to, load_quad(rows, quad, 1));
  } else if constexpr (kType == DType::kQ5_0 || kType == DType::kQ5_1) {
    constexpr int64_t kBitsAt = kType == DType::kQ5_0 ? 2 : 4;
    pack_word_of_bits(rows, quad, kBitsAt, to);
    put_groups(to + 64, load_quad(rows, quad, kBitsAt + 4));
  } else if constexpr (kType == DType::kQ8_0) {
    for (const int64_t part : {0, 1}) {
      Quad x = load_quad(rows, quad, 2 + 16 * part);
      for (Four& row : x) row ^= 0x80808080u;
      put_groups(to + 256 * part, x);
    }
  } else if constexpr (kType == DType::kIQ4_XS) {
    for (int64_t sub = 0; sub < 8; ++sub)
      put_groups(to + sub * stride, load_quad(rows, quad, 8 + 16 * sub));
  } else if constexpr (kType == DType::kQ4_K) {
    for (int64_t sub = 0; sub < 8; sub += 2)
      pack_two_blocks(rows, quad, 16 + 16 * sub, to + sub * stride, to + (sub + 1) * stride);
  } else if constexpr (kType == DType::kQ5_K) {
    pack_bits(rows, quad, 16, to, stride);
    for (int64_t sub = 0; sub < 8; sub += 2)
      pack_two_blocks(rows, quad, 48 + 16 * sub, to + 64 + sub * stride,
                      to + 64 + (sub + 1) * stride);
  } else if constexpr (kType == DType::kQ6_K) {
    for (const int64_t half : {0, 1}) {
      uint8_t* const four = to + 4 * half * stride;
      pack_pairs(rows, quad, 128 + 32 * half, four, stride);
      for (const int64_t part : {0, 1})
        pack_two_blocks(rows, quad, 64 * half + 32 * part, four + 128 + part * stride,
                        four + 128 + (part + 2) * stride);
    }
  } else if constexpr (kType == DType::kQ2_K || kType == DType::kTQ2_0) {
    constexpr int64_t kAt = kType == DType::kQ2_K ? 16 : 0;
    for (const int64_t half : {0, 1})
      pack_pairs(rows, quad, kAt + 32 * half, to + 4 * half * stride, stride);
  } else {
    static_assert(kType == DType::kQ3_K);
    const std::array<Four, 8> upper = load_eight(rows, quad, 0);
    for (const unsigned half : {0U, 1U}) {
      const std::array<Four, 8> lower = load_eight(rows, quad, 32 + 32 * half);
      for (unsigned i = 0; i < 4; ++i) {
        const unsigned sub = 4 * half + i;
        pack_triples(
            [&](size_t g) {
              return (lower[g] >> (2 * i) & kPairs) | (upper[g] >> sub & kBits) << 2;
            },
            to + sub * stride);
      }
    }
  }
}

// ---- formats whose quants are spelled out row by row ----

// The codes of a block of 32 of each row, four to a word.
using Codes = std::array<Lanes, 8>;

void put_row(const std::array<uint8_t, kBlock>& codes, size_t r, Codes& q) {
  for (size_t g = 0; g < 8; ++g) std::memcpy(&q[g][r], codes.data() + 4 * g, 4);
}

// With codebooks: scales of row `r`, its d where a superblock begins, and its codes.
void pack_group(const quant::IqFormat& iq, const std::byte* block, int64_t sub, int64_t r,
                uint8_t* head, std::span<uint8_t> scales, Codes& q) {
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

// A block's codes behind its scales.
[[gnu::always_inline]] inline void pack_codes(const KindRow& kind, const Codes& q, uint8_t* out) {
  for (size_t quad = 0; quad < 4; ++quad) {
    const auto code = [&](size_t g) {
      Four words;
      std::memcpy(&words, q[g].data() + 4 * quad, sizeof words);
      return words;
    };
    uint8_t* const to = out + 16 * quad;
    if (kind.quant_bytes == 192) pack_triples(code, to);
    if (kind.quant_bytes == 256)
      for (size_t g = 0; g < 4; ++g) put(to + 64 * g, code(g) | code(g + 4) << 4);
    if (kind.pair_bytes > 0)
      for (const size_t g : {0U, 4U})
        put(to + 16 * g, code(g) | code(g + 1) << 2 | code(g + 2) << 4 | code(g + 3) << 6);
  }
}

// ---- panels ----

// Elements of two bytes: eight of each of eight rows become the rows' first ones, then their second
// ones, and so on.
using Eight [[gnu::vector_size(16)]] = uint16_t;

[[gnu::always_inline]] inline void transpose_halves(std::array<Eight, 8>& x) {
  for (int round = 0; round < 3; ++round) {  // each turns the 6 bits of an element's place by one
    const std::array<Eight, 8> in = x;
    for (size_t i = 0; i < 4; ++i) {
      x[2 * i] = __builtin_shufflevector(in[i], in[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
      x[2 * i + 1] = __builtin_shufflevector(in[i], in[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
    }
  }
}

// k = i to i + 7 of two bytes, or i to i + 3 of four, of all rows.
template <class Element>
[[gnu::always_inline]] inline void pack_elements(const Rows& rows, int64_t i, uint8_t* to) {
  if constexpr (sizeof(Element) == 4) {
    for (size_t quad = 0; quad < 4; ++quad)
      put_groups(to + 16 * quad, load_quad(rows, quad, 4 * i));
  } else {
    for (const size_t half : {0U, 8U}) {
      std::array<Eight, 8> x;
      for (size_t r = 0; r < 8; ++r) std::memcpy(&x[r], rows[half + r] + 2 * i, sizeof x[r]);
      transpose_halves(x);
      for (size_t j = 0; j < 8; ++j) std::memcpy(to + 32 * j + 2 * half, &x[j], sizeof x[j]);
    }
  }
}

template <class Element>
void pack_plain(std::span<const std::byte> native, int64_t k, uint8_t* panel) {
  constexpr int64_t kWidth = sizeof(Element), kAtOnce = 16 / kWidth;
  const bool whole = std::ssize(native) == kPanelRows * k * kWidth;
  const std::vector<std::byte> zeros(whole ? 0 : static_cast<size_t>(k * kWidth));
  const Rows rows = rows_of(native, k * kWidth, zeros.data());
  int64_t i = 0;
  for (; i + kAtOnce <= k; i += kAtOnce)
    pack_elements<Element>(rows, i, panel + i * kPanelRows * kWidth);
  panel += i * kPanelRows * kWidth;
  for (; i < k; ++i, panel += kPanelRows * kWidth)
    for (size_t r = 0; r < kLanes; ++r)
      std::memcpy(panel + r * kWidth, rows[r] + i * kWidth, kWidth);
}

// One function for each type, so that the compiler knows it inside the loop.
template <DType kType>
void pack_blocks(std::span<const std::byte> native, int64_t k, uint8_t* panel) {
  constexpr KindRow kShape = row_of(*kind_of(kType));
  constexpr int64_t kStride = kShape.block_bytes();
  constexpr bool kCodebook = kShape.kind >= PanelKind::kIQ2_XXS;
  const quant::DTypeInfo& type = quant::info(kType);
  const int64_t row_bytes = k / type.block_elements * type.block_bytes;
  const int64_t subs = type.block_elements / kBlock;
  const quant::IqFormat* const iq = kCodebook ? quant::find_iq_format(kType) : nullptr;
  const int64_t rows = std::ssize(native) / row_bytes;
  static constexpr std::array<std::byte, 256> kZeros{};  // a block of any type
  CRIA_CHECK(std::cmp_less_equal(type.block_bytes, kZeros.size()), "a block of zeros");
  CRIA_CHECK(subs == kShape.sub_blocks, "native blocks are as long as those of panels");
  Rows blocks = rows_of(native, row_bytes, kZeros.data());
  for (int64_t b = 0; b < k / type.block_elements; ++b) {
    uint8_t* const head = panel;
    panel += kShape.head_bytes;
    if constexpr (kCodebook || kType == DType::kTQ1_0) {
      Codes q;
      for (int64_t sub = 0; sub < kShape.sub_blocks; ++sub, panel += kStride) {
        for (int64_t r = 0; r < kPanelRows; ++r) {
          const std::byte* block = blocks[static_cast<size_t>(r)];
          if constexpr (kCodebook) {
            pack_group(*iq, block, sub, r, sub == 0 ? head : nullptr,
                       {panel, static_cast<size_t>(kShape.scale_bytes)}, q);
          } else {
            if (sub == 0) pack_head(kType, block, r, head);
            std::array<uint8_t, kBlock> codes;
            quant::tq1_codes(block, sub, codes.data());
            put_row(codes, static_cast<size_t>(r), q);
          }
        }
        pack_codes(kShape, q, panel + kShape.scale_bytes);
      }
    } else {
      for (int64_t r = 0; r < kPanelRows; ++r) {
        const std::byte* block = blocks[static_cast<size_t>(r)];
        pack_head(kType, block, r, head);
        for (int64_t sub = 0; sub < kShape.sub_blocks; ++sub)
          pack_scales(kType, block, sub, r, panel + sub * kStride);
      }
      pack_byte_scales<kType>(blocks, panel, kStride);
      for (size_t quad = 0; quad < 4; ++quad)
        pack_quants<kType>(blocks, quad, panel + kShape.scale_bytes + 16 * quad, kStride);
      panel += kShape.sub_blocks * kStride;
    }
    for (size_t r = 0; r < static_cast<size_t>(rows); ++r) blocks[r] += type.block_bytes;
  }
}

using Pack = void (*)(std::span<const std::byte>, int64_t, uint8_t*);

template <size_t... i>
Pack find_pack(DType dtype, std::index_sequence<i...>) {
  Pack found = nullptr;
  const auto look = [&]<size_t kRow, size_t kAlias>() {
    if (kKindRows[kRow].dtypes[kAlias] == dtype)
      found = pack_blocks<kKindRows[kRow].dtypes[kAlias]>;
  };
  constexpr size_t kFirst = 3;  // after the plain ones
  (look.template operator()<kFirst + i, 0>(), ...);
  (look.template operator()<kFirst + i, 1>(), ...);
  return found;
}

}  // namespace

void pack_panel(PanelKind kind, DType dtype, std::span<const std::byte> native, int64_t k,
                uint8_t* panel) {
  if (kind == PanelKind::kF32) return pack_plain<uint32_t>(native, k, panel);
  if (takes_floats(kind)) return pack_plain<uint16_t>(native, k, panel);
  const Pack pack = find_pack(dtype, std::make_index_sequence<kKindRows.size() - 3>());
  CRIA_CHECK(pack != nullptr, "a type with panels");
  pack(native, k, panel);
}

}  // namespace cria::ml::cpu
