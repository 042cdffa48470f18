// plain.cpp - F32, F16, BF16, F64: one value an element.

#include "quant/blocks.h"
#include "quant/formats.h"

namespace cria::quant {

void dequantize_f32(const std::byte* in, float* out, int64_t count) noexcept {
  std::memcpy(out, in, static_cast<size_t>(count) * 4);
}

void dequantize_f16(const std::byte* in, float* out, int64_t count) noexcept {
  for (int64_t i = 0; i < count; ++i) out[i] = read_half(in + 2 * i);
}

void dequantize_bf16(const std::byte* in, float* out, int64_t count) noexcept {
  for (int64_t i = 0; i < count; ++i) out[i] = bfloat_to_float(read_as<uint16_t>(in + 2 * i));
}

void dequantize_f64(const std::byte* in, float* out, int64_t count) noexcept {
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(read_as<double>(in + 8 * i));
}

void quantize_f32(const float* in, std::byte* out, int64_t count) noexcept {
  std::memcpy(out, in, static_cast<size_t>(count) * 4);
}

void quantize_f16(const float* in, std::byte* out, int64_t count) noexcept {
  for (int64_t i = 0; i < count; ++i) {
    const uint16_t half = float_to_half(in[i]);
    std::memcpy(out + 2 * i, &half, sizeof half);
  }
}

void quantize_bf16(const float* in, std::byte* out, int64_t count) noexcept {
  for (int64_t i = 0; i < count; ++i) {
    const uint16_t bits = float_to_bfloat(in[i]);
    std::memcpy(out + 2 * i, &bits, sizeof bits);
  }
}

}  // namespace cria::quant
