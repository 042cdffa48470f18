// iq.cpp - IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S, IQ1_S, IQ1_M: 256 values as rows of codebooks.
//
// Blocks are 8 groups of 32 values; a group is 4 parts of 8.

#include "quant/blocks.h"
#include "quant/formats.h"
#include "quant/iq_grids.h"
#include "quant/iq_groups.h"

namespace cria::quant {
namespace {

// Seven stored signs; the eighth makes the number of negative values even.
unsigned eight_signs(unsigned seven) noexcept {
  constexpr unsigned kParities = 0x6996;  // of the numbers below 16; popcount would be a call
  seven &= 127u;
  return seven | (kParities >> ((seven ^ seven >> 4) & 15u) & 1u) << 7;
}

void put(IqGroup& out, int64_t l, uint64_t eight) noexcept {
  std::memcpy(out.codes.data() + 8 * l, &eight, 8);
}
// Each of eight bits in a byte of its own.
uint64_t spread_bits(unsigned bits) noexcept {
  constexpr uint64_t kEach = 0x8040201008040201, kCarry = 0x7f7f7f7f7f7f7f7f,
                     kOnes = 0x0101010101010101;
  return (((bits & 255u) * kOnes & kEach) + kCarry) >> 7 & kOnes;
}
// Part l: the row's codes, the signs above them.
void put_iq2(IqGroup& out, int64_t l, uint64_t row, unsigned signs) noexcept {
  row = (row | row << 24) & 0x000000ff000000ff;
  row = (row | row << 12) & 0x000f000f000f000f;
  row = (row | row << 6) & 0x0303030303030303;
  put(out, l, row | spread_bits(signs) << 2);
}
void put_iq3(IqGroup& out, int64_t l, uint64_t a, uint64_t b, unsigned signs) noexcept {
  const auto spread = [](uint64_t row) {
    return (row & 7) | (row & 0x38) << 5 | (row & 0x1c0) << 10 | (row & 0xe00) << 15;
  };
  put(out, l, spread(a) | spread(b) << 32 | spread_bits(signs) << 3);
}

int8_t odd(unsigned n) noexcept {
  return static_cast<int8_t>(2 * n + 1);
}
// A byte holds the scales of both halves.
void put_nibble_scales(IqGroup& out, uint8_t both) noexcept {
  out.scales = {odd(both & 15u), odd(both >> 4)};
}

uint16_t d_first(const std::byte* p) noexcept {
  return read_as<uint16_t>(p);
}
// The top nibbles of four u16 together are the half d.
uint16_t d_iq1_m(const std::byte* p) noexcept {
  uint32_t bits = 0;
  for (int64_t i = 0; i < 4; ++i)
    bits |= uint32_t{read_as<uint16_t>(p + 48 + 2 * i)} >> 12 << (4 * i);
  return static_cast<uint16_t>(bits);
}

void read_iq2_xxs(const std::byte* p, int64_t g, IqGroup& out) noexcept {
  const std::byte* q = p + 2 + 8 * g;
  const auto packed = read_as<uint32_t>(q + 4);
  out.scales.fill(odd(packed >> 28));
  for (int64_t l = 0; l < 4; ++l)
    put_iq2(out, l, kGridIq2Xxs[byte_at(q, l)], eight_signs(packed >> (7 * l)));
}

void read_iq2_xs(const std::byte* p, int64_t g, IqGroup& out) noexcept {
  put_nibble_scales(out, byte_at(p, 66 + g));
  for (int64_t l = 0; l < 4; ++l) {
    const auto q = read_as<uint16_t>(p + 2 + 2 * (4 * g + l));
    put_iq2(out, l, kGridIq2Xs[q & 511], eight_signs(q >> 9));
  }
}

void read_iq2_s(const std::byte* p, int64_t g, IqGroup& out) noexcept {
  put_nibble_scales(out, byte_at(p, 74 + g));
  for (int64_t l = 0; l < 4; ++l) {
    const int row = byte_at(p, 2 + 4 * g + l) | (byte_at(p, 66 + g) << (8 - 2 * l) & 0x300);
    put_iq2(out, l, kGridIq2S[row], byte_at(p, 34 + 4 * g + l));
  }
}

void read_iq3_xxs(const std::byte* p, int64_t g, IqGroup& out) noexcept {
  const auto packed = read_as<uint32_t>(p + 66 + 4 * g);
  out.scales.fill(odd(packed >> 28));
  for (int64_t l = 0; l < 4; ++l) {
    const std::byte* q = p + 2 + 8 * g + 2 * l;
    put_iq3(out, l, kGridIq3Xxs[byte_at(q, 0)], kGridIq3Xxs[byte_at(q, 1)],
            eight_signs(packed >> (7 * l)));
  }
}

void read_iq3_s(const std::byte* p, int64_t g, IqGroup& out) noexcept {
  out.scales.fill(odd(byte_at(p, 106 + g / 2) >> (4 * (g % 2)) & 15u));
  const int high = byte_at(p, 66 + g);
  for (int64_t l = 0; l < 4; ++l) {
    const std::byte* q = p + 2 + 8 * g + 2 * l;
    const int a = byte_at(q, 0) | (high << (8 - 2 * l) & 256);
    const int b = byte_at(q, 1) | (high << (7 - 2 * l) & 256);
    put_iq3(out, l, kGridIq3S[a], kGridIq3S[b], byte_at(p, 74 + 4 * g + l));
  }
}

// The "sign" of IQ1 chooses between two offsets of an eighth.
void read_iq1_s(const std::byte* p, int64_t g, IqGroup& out) noexcept {
  const auto high = read_as<uint16_t>(p + 34 + 2 * g);
  out.scales.fill(odd(high >> 12 & 7u));
  for (int64_t l = 0; l < 4; ++l) {
    const int row = byte_at(p, 2 + 4 * g + l) | (high >> (3 * l) & 7) << 8;
    put_iq2(out, l, kGridIq1S[row], (high & 0x8000) != 0 ? 255 : 0);
  }
}

void read_iq1_m(const std::byte* p, int64_t g, IqGroup& out) noexcept {
  const auto packed = read_as<uint16_t>(p + 48 + 2 * (g / 2));
  const unsigned both = packed >> (6 * (g % 2)) & 63u;
  out.scales = {odd(both & 7u), odd(both >> 3)};
  for (int64_t l = 0; l < 4; ++l) {
    const int nibble = byte_at(p, 32 + 2 * g + l / 2) >> (4 * (l % 2)) & 15;
    const int row = byte_at(p, 4 * g + l) | (nibble & 7) << 8;
    put_iq2(out, l, kGridIq1S[row], (nibble & 8) != 0 ? 255 : 0);
  }
}

// The value of each code, then of each code with its sign.
template <class Value>
constexpr std::array<int8_t, 16> levels(size_t codes, Value value) {
  std::array<int8_t, 16> out = {};
  for (size_t code = 0; code < codes; ++code) {
    const int level = value(static_cast<uint16_t>(code), 0);
    out[code] = static_cast<int8_t>(level);
    out[code + codes] = static_cast<int8_t>(-level);
  }
  return out;
}
constexpr std::array<int8_t, 16> kIq2Levels = levels(4, iq2_value);
constexpr std::array<int8_t, 16> kIq1Levels = {-7, 1, 9, 0, -9, -1, 7, 0};  // in eighths

constexpr std::array kFormats = {
    IqFormat{DType::kIQ2_XXS, d_first, read_iq2_xxs, 0.125f, kIq2Levels},
    IqFormat{DType::kIQ2_XS, d_first, read_iq2_xs, 0.125f, kIq2Levels},
    IqFormat{DType::kIQ2_S, d_first, read_iq2_s, 0.125f, kIq2Levels},
    IqFormat{DType::kIQ3_XXS, d_first, read_iq3_xxs, 0.25f, levels(8, iq3_xxs_value)},
    IqFormat{DType::kIQ3_S, d_first, read_iq3_s, 1.0f, levels(8, iq3_s_value)},
    IqFormat{DType::kIQ1_S, d_first, read_iq1_s, 0.125f, kIq1Levels},
    IqFormat{DType::kIQ1_M, d_iq1_m, read_iq1_m, 0.125f, kIq1Levels},
};

void dequantize_groups(DType dtype, const std::byte* in, float* y, int64_t count) noexcept {
  const IqFormat& format = *find_iq_format(dtype);
  const int64_t block_bytes = info(dtype).block_bytes;
  IqGroup group;
  for (int64_t block = 0; block < count / 256; ++block, in += block_bytes) {
    const float d = half_to_float(format.d(in)) * format.factor;
    for (int64_t g = 0; g < 8; ++g) {
      format.read(in, g, group);
      for (size_t j = 0; j < 32; ++j)
        *y++ = d * static_cast<float>(group.scales[j / 16]) *
               static_cast<float>(format.levels[group.codes[j]]);
    }
  }
}

}  // namespace

const IqFormat* find_iq_format(DType dtype) noexcept {
  for (const IqFormat& format : kFormats)
    if (format.dtype == dtype) return &format;
  return nullptr;
}

#define CRIA_IQ(name, dtype)                                                        \
  void dequantize_##name(const std::byte* in, float* out, int64_t count) noexcept { \
    dequantize_groups(dtype, in, out, count);                                       \
  }
CRIA_IQ(iq2_xxs, DType::kIQ2_XXS)
CRIA_IQ(iq2_xs, DType::kIQ2_XS)
CRIA_IQ(iq2_s, DType::kIQ2_S)
CRIA_IQ(iq3_xxs, DType::kIQ3_XXS)
CRIA_IQ(iq3_s, DType::kIQ3_S)
CRIA_IQ(iq1_s, DType::kIQ1_S)
CRIA_IQ(iq1_m, DType::kIQ1_M)
#undef CRIA_IQ

}  // namespace cria::quant
