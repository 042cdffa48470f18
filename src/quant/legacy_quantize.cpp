// legacy_quantize.cpp - floats to Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0.

#include "quant/blocks.h"
#include "quant/formats.h"

#include <algorithm>
#include <array>

namespace cria::quant {
namespace {

using Codes = std::array<int, 32>;

// The value of largest magnitude, with its sign; the first of equals.
float extreme(const float* x) noexcept {
  float result = 0, largest = 0;
  for (int j = 0; j < 32; ++j)
    if (std::abs(x[j]) > largest) {
      largest = std::abs(x[j]);
      result = x[j];
    }
  return result;
}

// Codes 0 .. 2*half-1 around `half`: the extreme value becomes code 0 exactly, whatever its sign.
Codes symmetric_codes(const float* x, float d, int half) noexcept {
  Codes codes;
  const float inverse = inverse_or_zero(d);
  for (size_t j = 0; j < 32; ++j)
    codes[j] = truncate(x[j] * inverse + (static_cast<float>(half) + 0.5f), 0, 2 * half - 1);
  return codes;
}

struct Range {
  float d, min;
};

Range range_of(const float* x, int steps) noexcept {
  const auto [low, high] = std::minmax_element(x, x + 32);
  return {(*high - *low) / static_cast<float>(steps), *low};
}

Codes range_codes(const float* x, Range range, int steps) noexcept {
  Codes codes;
  const float inverse = inverse_or_zero(range.d);
  for (size_t j = 0; j < 32; ++j)
    codes[j] = truncate((x[j] - range.min) * inverse + 0.5f, 0, steps);
  return codes;
}

void put_low_bits(std::byte* p, const Codes& codes) noexcept {
  for (size_t j = 0; j < 16; ++j)
    put_nibbles(p, static_cast<int64_t>(j), codes[j] & 15, codes[j + 16] & 15);
}

void put_fifth_bits(std::byte* p, const Codes& codes) noexcept {
  uint32_t bits = 0;
  for (size_t j = 0; j < 32; ++j) bits |= static_cast<uint32_t>(codes[j] >> 4) << j;
  put(p, bits);
}

}  // namespace

void quantize_q4_0(const float* in, std::byte* out, int64_t count) noexcept {
  quantize_blocks<32, 18>(in, out, count, [](const float* x, std::byte* p) {
    const float d = extreme(x) / -8.0f;
    put_half(p, d);
    put_low_bits(p + 2, symmetric_codes(x, d, 8));
  });
}

void quantize_q4_1(const float* in, std::byte* out, int64_t count) noexcept {
  quantize_blocks<32, 20>(in, out, count, [](const float* x, std::byte* p) {
    const Range range = range_of(x, 15);
    put_half(p, range.d);
    put_half(p + 2, range.min);
    put_low_bits(p + 4, range_codes(x, range, 15));
  });
}

void quantize_q5_0(const float* in, std::byte* out, int64_t count) noexcept {
  quantize_blocks<32, 22>(in, out, count, [](const float* x, std::byte* p) {
    const float d = extreme(x) / -16.0f;
    const Codes codes = symmetric_codes(x, d, 16);
    put_half(p, d);
    put_fifth_bits(p + 2, codes);
    put_low_bits(p + 6, codes);
  });
}

void quantize_q5_1(const float* in, std::byte* out, int64_t count) noexcept {
  quantize_blocks<32, 24>(in, out, count, [](const float* x, std::byte* p) {
    const Range range = range_of(x, 31);
    const Codes codes = range_codes(x, range, 31);
    put_half(p, range.d);
    put_half(p + 2, range.min);
    put_fifth_bits(p + 4, codes);
    put_low_bits(p + 8, codes);
  });
}

void quantize_q8_0(const float* in, std::byte* out, int64_t count) noexcept {
  quantize_blocks<32, 34>(in, out, count, [](const float* x, std::byte* p) {
    const float d = std::abs(extreme(x)) / 127.0f, inverse = inverse_or_zero(d);
    put_half(p, d);
    for (int64_t j = 0; j < 32; ++j)
      p[2 + j] = static_cast<std::byte>(round_away(x[j] * inverse, -127, 127));
  });
}

}  // namespace cria::quant
