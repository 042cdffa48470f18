// fp4.cpp - MXFP4 and NVFP4: four-bit floats (E2M1) with a shared scale that is a small float
// itself.

#include "quant/blocks.h"
#include "quant/formats.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace cria::quant {
namespace {

// The E2M1 values doubled, so that they are whole; scales below are halved in turn.
constexpr float kDoubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// 2^(e-128): half of what the exponent byte stands for.
float half_power(uint8_t e) noexcept {
  return std::bit_cast<float>(e < 2 ? uint32_t{0x00200000} << e : uint32_t{e - 1u} << 23);
}

// Half of an unsigned E4M3 number: 4 bits of exponent, 3 of mantissa.
float half_e4m3(uint8_t x) noexcept {
  if (x == 0 || x == 0x7f) return 0;
  const int exponent = x >> 3 & 15;
  const auto mantissa = static_cast<float>(x & 7);
  if (exponent == 0) return mantissa * 0x1p-10f;
  return std::ldexp(1.0f + mantissa / 8.0f, exponent - 8);
}

// The first nearest value: ties go to the lower code.
uint8_t nearest_code(float x, float scale) noexcept {
  uint8_t best = 0;
  float least = std::abs(x);
  for (uint8_t code = 1; code < 16; ++code) {
    const float error = std::abs(scale * kDoubled[code] - x);
    if (error < least) {
      least = error;
      best = code;
    }
  }
  return best;
}

}  // namespace

void dequantize_mxfp4(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<32, 17>(in, out, count, [](const std::byte* p, float* y) {
    const float scale = half_power(byte_at(p, 0));
    for (int64_t j = 0; j < 16; ++j) {
      y[j] = scale * kDoubled[byte_at(p, 1 + j) & 15];
      y[j + 16] = scale * kDoubled[byte_at(p, 1 + j) >> 4];
    }
  });
}

void dequantize_mxfp4_early(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<32, 17>(in, out, count, [](const std::byte* p, float* y) {
    const float scale = half_power(byte_at(p, 0));
    for (int64_t j = 0; j < 16; ++j) {
      y[2 * j] = scale * kDoubled[byte_at(p, 1 + j) & 15];
      y[2 * j + 1] = scale * kDoubled[byte_at(p, 1 + j) >> 4];
    }
  });
}

void quantize_mxfp4(const float* in, std::byte* out, int64_t count) noexcept {
  quantize_blocks<32, 17>(in, out, count, [](const float* x, std::byte* p) {
    float largest = 0;
    for (int j = 0; j < 32; ++j) largest = std::max(largest, std::abs(x[j]));
    uint8_t exponent = 0;
    if (largest > 0)
      exponent =
          static_cast<uint8_t>(std::clamp(std::ilogb(std::min(largest, 3e38f)) - 2 + 127, 0, 254));
    p[0] = std::byte{exponent};
    const float scale = half_power(exponent);
    for (int64_t j = 0; j < 16; ++j)
      put_nibbles(p + 1, j, nearest_code(x[j], scale), nearest_code(x[j + 16], scale));
  });
}

void dequantize_nvfp4(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<64, 36>(in, out, count, [](const std::byte* p, float* y) {
    for (int64_t g = 0; g < 4; ++g) {
      const float scale = half_e4m3(byte_at(p, g));
      for (int64_t j = 0; j < 8; ++j) {
        const int both = byte_at(p, 4 + 8 * g + j);
        y[16 * g + j] = scale * kDoubled[both & 15];
        y[16 * g + j + 8] = scale * kDoubled[both >> 4];
      }
    }
  });
}

}  // namespace cria::quant
