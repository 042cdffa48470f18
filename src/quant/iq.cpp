// iq.cpp - IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S, IQ1_S, IQ1_M: 256 values as rows of codebooks.
//
// Blocks are 8 groups of 32 values; a group is 4 parts of 8.

#include "quant/blocks.h"
#include "quant/formats.h"
#include "quant/iq_grids.h"

#include <bit>

namespace cria::quant {
namespace {

// Seven stored signs; the eighth makes the number of negative values even.
unsigned eight_signs(unsigned seven) noexcept {
  seven &= 127u;
  return seven | (static_cast<unsigned>(std::popcount(seven)) & 1u) << 7;
}

float with_sign(float value, unsigned signs, int j) noexcept {
  return (signs >> j & 1u) != 0 ? -value : value;
}

void write_iq2(float* y, float scale, uint16_t row, unsigned signs) noexcept {
  for (int j = 0; j < 8; ++j)
    y[j] = with_sign(scale * static_cast<float>(iq2_value(row, j)), signs, j);
}

// Two rows of four.
void write_iq3_xxs(float* y, float scale, uint16_t a, uint16_t b, unsigned signs) noexcept {
  for (int j = 0; j < 8; ++j) {
    const int value = j < 4 ? iq3_xxs_value(a, j) : iq3_xxs_value(b, j - 4);
    y[j] = with_sign(scale * static_cast<float>(value), signs, j);
  }
}

void write_iq3_s(float* y, float scale, uint16_t a, uint16_t b, unsigned signs) noexcept {
  for (int j = 0; j < 8; ++j) {
    const int value = j < 4 ? iq3_s_value(a, j) : iq3_s_value(b, j - 4);
    y[j] = with_sign(scale * static_cast<float>(value), signs, j);
  }
}

void write_iq1(float* y, float scale, uint16_t row, float delta) noexcept {
  for (int j = 0; j < 8; ++j) y[j] = scale * (static_cast<float>(iq1_value(row, j)) + delta);
}

// Scale of part l of group g, where each byte holds those of two pairs of parts.
float iq2_scale(float d, const std::byte* scales, int g, int l) noexcept {
  const int nibble = byte_at(scales, g) >> (l < 2 ? 0 : 4) & 15;
  return d * (0.5f + static_cast<float>(nibble)) * 0.25f;
}

}  // namespace

void dequantize_iq2_xxs(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<256, 66>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p);
    for (int g = 0; g < 8; ++g) {
      const std::byte* q = p + 2 + 8 * g;
      const auto packed = read_as<uint32_t>(q + 4);
      const float scale = d * (0.5f + static_cast<float>(packed >> 28)) * 0.25f;
      for (int l = 0; l < 4; ++l)
        write_iq2(y + 32 * g + 8 * l, scale, kGridIQ2_XXS[byte_at(q, l)],
                  eight_signs(packed >> (7 * l)));
    }
  });
}

void dequantize_iq2_xs(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<256, 74>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p);
    for (int g = 0; g < 8; ++g)
      for (int l = 0; l < 4; ++l) {
        const auto q = read_as<uint16_t>(p + 2 + 2 * (4 * g + l));
        write_iq2(y + 32 * g + 8 * l, iq2_scale(d, p + 66, g, l), kGridIQ2_XS[q & 511],
                  eight_signs(q >> 9));
      }
  });
}

void dequantize_iq2_s(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<256, 82>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p);
    for (int g = 0; g < 8; ++g)
      for (int l = 0; l < 4; ++l) {
        const int row = byte_at(p, 2 + 4 * g + l) | (byte_at(p, 66 + g) << (8 - 2 * l) & 0x300);
        write_iq2(y + 32 * g + 8 * l, iq2_scale(d, p + 74, g, l), kGridIQ2_S[row],
                  byte_at(p, 34 + 4 * g + l));
      }
  });
}

void dequantize_iq3_xxs(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<256, 98>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p);
    for (int g = 0; g < 8; ++g) {
      const auto packed = read_as<uint32_t>(p + 66 + 4 * g);
      const float scale = d * (0.5f + static_cast<float>(packed >> 28)) * 0.5f;
      for (int l = 0; l < 4; ++l) {
        const std::byte* q = p + 2 + 8 * g + 2 * l;
        write_iq3_xxs(y + 32 * g + 8 * l, scale, kGridIQ3_XXS[byte_at(q, 0)],
                      kGridIQ3_XXS[byte_at(q, 1)], eight_signs(packed >> (7 * l)));
      }
    }
  });
}

void dequantize_iq3_s(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<256, 110>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p);
    for (int g = 0; g < 8; ++g) {
      const int nibble = byte_at(p, 106 + g / 2) >> (4 * (g % 2)) & 15;
      const float scale = d * static_cast<float>(1 + 2 * nibble);
      const int high = byte_at(p, 66 + g);
      for (int l = 0; l < 4; ++l) {
        const std::byte* q = p + 2 + 8 * g + 2 * l;
        const int a = byte_at(q, 0) | (high << (8 - 2 * l) & 256);
        const int b = byte_at(q, 1) | (high << (7 - 2 * l) & 256);
        write_iq3_s(y + 32 * g + 8 * l, scale, kGridIQ3_S[a], kGridIQ3_S[b],
                    byte_at(p, 74 + 4 * g + l));
      }
    }
  });
}

void dequantize_iq1_s(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<256, 50>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p);
    for (int g = 0; g < 8; ++g) {
      const auto high = read_as<uint16_t>(p + 34 + 2 * g);
      const float scale = d * static_cast<float>(2 * (high >> 12 & 7) + 1);
      const float delta = (high & 0x8000) != 0 ? -0.125f : 0.125f;
      for (int l = 0; l < 4; ++l) {
        const int row = byte_at(p, 2 + 4 * g + l) | (high >> (3 * l) & 7) << 8;
        write_iq1(y + 32 * g + 8 * l, scale, kGridIQ1_S[row], delta);
      }
    }
  });
}

void dequantize_iq1_m(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<256, 56>(in, out, count, [](const std::byte* p, float* y) {
    const std::byte* scales = p + 48;  // four u16, whose top nibbles together are the half d
    uint32_t bits = 0;
    for (int i = 0; i < 4; ++i)
      bits |= uint32_t{read_as<uint16_t>(scales + 2 * i)} >> 12 << (4 * i);
    const float d = half_to_float(static_cast<uint16_t>(bits));
    for (int g = 0; g < 8; ++g) {
      const auto packed = read_as<uint16_t>(scales + 2 * (g / 2));
      for (int l = 0; l < 4; ++l) {
        const int n = packed >> (6 * (g % 2) + (l < 2 ? 0 : 3)) & 7;
        const int nibble = byte_at(p, 32 + 2 * g + l / 2) >> (4 * (l % 2)) & 15;
        const int row = byte_at(p, 4 * g + l) | (nibble & 7) << 8;
        write_iq1(y + 32 * g + 8 * l, d * static_cast<float>(2 * n + 1), kGridIQ1_S[row],
                  (nibble & 8) != 0 ? -0.125f : 0.125f);
      }
    }
  });
}

}  // namespace cria::quant
