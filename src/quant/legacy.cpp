// legacy.cpp - Q4_0, Q4_1, Q5_0, Q5_1, Q8_0: blocks of 32 with one scale and perhaps a minimum.

#include "quant/blocks.h"
#include "quant/formats.h"

namespace cria::quant {
namespace {

// Fifth bit of element j, worth 16.
int fifth_bit(uint32_t bits, int64_t j) noexcept {
  return static_cast<int>(bits >> j & 1u) << 4;
}

}  // namespace

void dequantize_q4_0(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<32, 18>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p);
    for (int64_t j = 0; j < 16; ++j) {
      const int both = byte_at(p, 2 + j);
      y[j] = static_cast<float>((both & 15) - 8) * d;
      y[j + 16] = static_cast<float>((both >> 4) - 8) * d;
    }
  });
}

void dequantize_q4_1(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<32, 20>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p), m = read_half(p + 2);
    for (int64_t j = 0; j < 16; ++j) {
      const int both = byte_at(p, 4 + j);
      y[j] = static_cast<float>(both & 15) * d + m;
      y[j + 16] = static_cast<float>(both >> 4) * d + m;
    }
  });
}

void dequantize_q5_0(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<32, 22>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p);
    const auto bits = read_as<uint32_t>(p + 2);
    for (int64_t j = 0; j < 16; ++j) {
      const int both = byte_at(p, 6 + j);
      y[j] = static_cast<float>(((both & 15) | fifth_bit(bits, j)) - 16) * d;
      y[j + 16] = static_cast<float>(((both >> 4) | fifth_bit(bits, j + 16)) - 16) * d;
    }
  });
}

void dequantize_q5_1(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<32, 24>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p), m = read_half(p + 2);
    const auto bits = read_as<uint32_t>(p + 4);
    for (int64_t j = 0; j < 16; ++j) {
      const int both = byte_at(p, 8 + j);
      y[j] = static_cast<float>((both & 15) | fifth_bit(bits, j)) * d + m;
      y[j + 16] = static_cast<float>((both >> 4) | fifth_bit(bits, j + 16)) * d + m;
    }
  });
}

void dequantize_q8_0(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<32, 34>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p);
    for (int64_t j = 0; j < 32; ++j)
      y[j] = static_cast<float>(static_cast<int8_t>(byte_at(p, 2 + j))) * d;
  });
}

void dequantize_q8_1(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<32, 36>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p);
    for (int64_t j = 0; j < 32; ++j)
      y[j] = static_cast<float>(static_cast<int8_t>(byte_at(p, 4 + j))) * d;
  });
}

}  // namespace cria::quant
