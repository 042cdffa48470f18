// ternary.cpp - TQ1_0 (five values a byte, base 3) and TQ2_0 (four values a byte): -1, 0 or 1 times
// d.

#include "quant/ternary.h"
#include "quant/blocks.h"
#include "quant/formats.h"

#include <algorithm>
#include <cmath>

namespace cria::quant {
namespace {

float largest_magnitude(const float* x) noexcept {
  float largest = 0;
  for (int j = 0; j < 256; ++j) largest = std::max(largest, std::abs(x[j]));
  return largest;
}

// 0, 1 or 2 for the nearest of -1, 0 and 1; halves away from zero.
int code_of(float x, float inverse) noexcept {
  return round_away(x * inverse, -1, 1) + 1;
}

void read_trits(const float*& x, std::byte* p, int64_t bytes, int digits, float inverse) noexcept {
  for (int64_t m = 0; m < bytes; ++m) {
    int number = 0;
    for (int n = 0; n < 5; ++n)
      number = number * 3 + (n < digits ? code_of(x[n * bytes + m], inverse) : 0);
    p[m] = static_cast<std::byte>((number * 256 + 242) / 243);  // up, so that decoding rounds down
  }
  x += digits * bytes;
}

// Digit `n` of some bytes. A byte is a fraction of base 3 digits, 8 bits after the point:
// multiplying moves a digit before it.
void digits(const std::byte* p, int64_t bytes, int64_t n, uint8_t* out) noexcept {
  constexpr int kPowers[5] = {1, 3, 9, 27, 81};
  for (int64_t m = 0; m < bytes; ++m)
    out[m] = static_cast<uint8_t>((byte_at(p, m) * kPowers[n] & 255) * 3 >> 8);
}

}  // namespace

// 32 bytes of five digits, 16 of five, four of four; digit n of byte m is value n * bytes + m.
void tq1_codes(const std::byte* block, int64_t sub, uint8_t* codes) noexcept {
  if (sub < 5) return digits(block, 32, sub, codes);
  const std::byte* const second = block + 32;
  if (sub < 7) {
    digits(second, 16, 2 * (sub - 5), codes);
    return digits(second, 16, 2 * (sub - 5) + 1, codes + 16);
  }
  digits(second, 16, 4, codes);
  for (int64_t n = 0; n < 4; ++n) digits(block + 48, 4, n, codes + 16 + 4 * n);
}

void dequantize_tq1_0(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<256, 54>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p + 52);
    for (int64_t sub = 0; sub < 8; ++sub) {
      uint8_t codes[32];
      tq1_codes(p, sub, codes);
      for (int64_t j = 0; j < 32; ++j) y[32 * sub + j] = d * static_cast<float>(codes[j] - 1);
    }
  });
}

void quantize_tq1_0(const float* in, std::byte* out, int64_t count) noexcept {
  quantize_blocks<256, 54>(in, out, count, [](const float* x, std::byte* p) {
    const float d = largest_magnitude(x), inverse = inverse_or_zero(d);
    put_half(p + 52, d);
    read_trits(x, p, 32, 5, inverse);
    read_trits(x, p + 32, 16, 5, inverse);
    read_trits(x, p + 48, 4, 4, inverse);
  });
}

void dequantize_tq2_0(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<256, 66>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p + 64);
    for (int64_t i = 0; i < 256; ++i) {
      const int64_t half = i / 128, l = i / 32 % 4;
      y[i] = static_cast<float>((byte_at(p, 32 * half + i % 32) >> (2 * l) & 3) - 1) * d;
    }
  });
}

void quantize_tq2_0(const float* in, std::byte* out, int64_t count) noexcept {
  quantize_blocks<256, 66>(in, out, count, [](const float* x, std::byte* p) {
    const float d = largest_magnitude(x), inverse = inverse_or_zero(d);
    put_half(p + 64, d);
    for (int64_t m = 0; m < 64; ++m) {
      const float* first = x + 128 * (m / 32) + m % 32;
      int packed = 0;
      for (int64_t l = 0; l < 4; ++l) packed |= code_of(first[32 * l], inverse) << (2 * l);
      p[m] = static_cast<std::byte>(packed);
    }
  });
}

void dequantize_q1_0(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<128, 18>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p);
    for (int64_t i = 0; i < 128; ++i) y[i] = (byte_at(p, 2 + i / 8) >> (i % 8) & 1) != 0 ? d : -d;
  });
}

void dequantize_q2_0(const std::byte* in, float* out, int64_t count) noexcept {
  for_blocks<64, 18>(in, out, count, [](const std::byte* p, float* y) {
    const float d = read_half(p);
    for (int64_t i = 0; i < 64; ++i)
      y[i] = static_cast<float>((byte_at(p, 2 + i / 4) >> (2 * (i % 4)) & 3) - 1) * d;
  });
}

}  // namespace cria::quant
