// iq4.cpp - IQ4_NL and IQ4_XS: four bits choose one of 16 unevenly spaced levels.

#include "quant/blocks.h"
#include "quant/formats.h"

namespace cria::quant {
namespace {

constexpr float kLevels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                               1,    13,   25,  38,  53,  69,  89,  113};

void write_32(const std::byte* q, float* y, float scale) noexcept {
  for (int64_t j = 0; j < 16; ++j) {
    y[j] = scale * kLevels[byte_at(q, j) & 15];
    y[j + 16] = scale * kLevels[byte_at(q, j) >> 4];
  }
}

}  // namespace

void dequantize_iq4_nl(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<32, 18>(in, out, count,
                     [](const std::byte* p, float* y) { write_32(p + 2, y, read_half(p)); });
}

void dequantize_iq4_xs(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<256, 136>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p);
    const auto high = read_as<uint16_t>(p + 2);
    for (int g = 0; g < 8; ++g) {
      const int low = byte_at(p, 4 + g / 2) >> (4 * (g % 2)) & 15;
      const int scale = low | (high >> (2 * g) & 3) << 4;
      write_32(p + 8 + 16 * g, y + 32 * g, d * static_cast<float>(scale - 32));
    }
  });
}

}  // namespace cria::quant
