// formats.h - the conversion functions of every block format, for the table in dtype.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cria::quant {

#define CRIA_DEQUANTIZE(name) void dequantize_##name(const std::byte*, float*, int64_t) noexcept
CRIA_DEQUANTIZE(f32);
CRIA_DEQUANTIZE(f16);
CRIA_DEQUANTIZE(bf16);
CRIA_DEQUANTIZE(f64);
CRIA_DEQUANTIZE(q4_0);
CRIA_DEQUANTIZE(q4_1);
CRIA_DEQUANTIZE(q5_0);
CRIA_DEQUANTIZE(q5_1);
CRIA_DEQUANTIZE(q8_0);
CRIA_DEQUANTIZE(q4_k);
CRIA_DEQUANTIZE(q5_k);
CRIA_DEQUANTIZE(q6_k);
#undef CRIA_DEQUANTIZE

#define CRIA_QUANTIZE(name) void quantize_##name(const float*, std::byte*, int64_t) noexcept
CRIA_QUANTIZE(f32);
CRIA_QUANTIZE(f16);
CRIA_QUANTIZE(bf16);
#undef CRIA_QUANTIZE

}  // namespace cria::quant
