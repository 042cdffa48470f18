// k_quants.cpp - Q4_K, Q5_K, Q6_K: superblocks of 256 with quantised scales.

#include "quant/blocks.h"
#include "quant/formats.h"

namespace cria::quant {

void dequantize_q4_k(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<256, 144>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p), d_min = read_half(p + 2);
    for (int64_t sub = 0; sub < 8; ++sub) {
      int scale = 0, min = 0;
      scale_and_min(p + 4, sub, scale, min);
      const float s = d * static_cast<float>(scale), m = d_min * static_cast<float>(min);
      const std::byte* q = p + 16 + 32 * (sub / 2);
      for (int64_t j = 0; j < 32; ++j)
        y[32 * sub + j] = s * static_cast<float>(byte_at(q, j) >> (4 * (sub % 2)) & 15) - m;
    }
  });
}

void dequantize_q5_k(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<256, 176>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p), d_min = read_half(p + 2);
    for (int64_t sub = 0; sub < 8; ++sub) {
      int scale = 0, min = 0;
      scale_and_min(p + 4, sub, scale, min);
      const float s = d * static_cast<float>(scale), m = d_min * static_cast<float>(min);
      const std::byte* q = p + 48 + 32 * (sub / 2);
      for (int64_t j = 0; j < 32; ++j) {
        const int low = byte_at(q, j) >> (4 * (sub % 2)) & 15;
        const int high = byte_at(p + 16, j) >> sub & 1;
        y[32 * sub + j] = s * static_cast<float>(low | high << 4) - m;
      }
    }
  });
}

void dequantize_q6_k(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<256, 210>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p + 208);
    for (int64_t sub = 0; sub < 8; ++sub) {  // 32 elements, with two scales
      const int64_t half = sub / 4, quarter = sub % 4;
      const std::byte* low = p + 64 * half + 32 * (quarter % 2);
      const std::byte* high = p + 128 + 32 * half;
      for (int64_t j = 0; j < 32; ++j) {
        const int scale = static_cast<int8_t>(byte_at(p, 192 + 2 * sub + j / 16));
        const int q = (byte_at(low, j) >> (4 * (quarter / 2)) & 15) |
                      (byte_at(high, j) >> (2 * quarter) & 3) << 4;
        y[32 * sub + j] = d * static_cast<float>(scale) * static_cast<float>(q - 32);
      }
    }
  });
}

}  // namespace cria::quant
