// k_quants.cpp - Q2_K to Q6_K: superblocks of 256 with quantised scales, decoded. Encoded in
// k_quantize.cpp.

#include "quant/blocks.h"
#include "quant/formats.h"

namespace cria::quant {

void dequantize_q2_k(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<256, 84>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p + 80), d_min = read_half(p + 82);
    for (int64_t sub = 0; sub < 16; ++sub) {  // 16 elements each
      const int packed = byte_at(p, sub);
      const float s = d * static_cast<float>(packed & 15),
                  m = d_min * static_cast<float>(packed >> 4);
      const std::byte* q = p + 16 + 32 * (sub / 8) + 16 * (sub % 2);
      const int64_t shift = 2 * (sub % 8 / 2);
      for (int64_t j = 0; j < 16; ++j)
        y[16 * sub + j] = s * static_cast<float>(byte_at(q, j) >> shift & 3) - m;
    }
  });
}

void dequantize_q3_k(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<256, 110>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p + 108);
    for (int64_t sub = 0; sub < 16; ++sub) {
      const int low = byte_at(p, 96 + sub % 8) >> (4 * (sub / 8)) & 15;
      const int high = byte_at(p, 104 + sub % 4) >> (2 * (sub / 4)) & 3;
      const float s = d * static_cast<float>((low | high << 4) - 32);
      const std::byte* q = p + 32 + 32 * (sub / 8) + 16 * (sub % 2);
      const std::byte* third = p + 16 * (sub % 2);
      for (int64_t j = 0; j < 16; ++j) {
        const int bits = byte_at(q, j) >> (2 * (sub % 8 / 2)) & 3;
        const bool set = (byte_at(third, j) >> (sub / 2) & 1) != 0;
        y[16 * sub + j] = s * static_cast<float>(set ? bits : bits - 4);
      }
    }
  });
}

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

// Q8_K and Q8_1 hold activations; files have no reason to use them, but a reader can follow them.
void dequantize_q8_k(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<256, 292>(in, out, count, [](const std::byte* p, float* y) {
    const auto d = read_as<float>(p);
    for (int64_t j = 0; j < 256; ++j)
      y[j] = d * static_cast<float>(static_cast<int8_t>(byte_at(p, 4 + j)));
  });
}

}  // namespace cria::quant
