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
CRIA_DEQUANTIZE(q8_1);
CRIA_DEQUANTIZE(q2_k);
CRIA_DEQUANTIZE(q3_k);
CRIA_DEQUANTIZE(q4_k);
CRIA_DEQUANTIZE(q5_k);
CRIA_DEQUANTIZE(q6_k);
CRIA_DEQUANTIZE(q8_k);
CRIA_DEQUANTIZE(iq1_s);
CRIA_DEQUANTIZE(iq1_m);
CRIA_DEQUANTIZE(iq2_xxs);
CRIA_DEQUANTIZE(iq2_xs);
CRIA_DEQUANTIZE(iq2_s);
CRIA_DEQUANTIZE(iq3_xxs);
CRIA_DEQUANTIZE(iq3_s);
CRIA_DEQUANTIZE(iq4_nl);
CRIA_DEQUANTIZE(iq4_xs);
CRIA_DEQUANTIZE(tq1_0);
CRIA_DEQUANTIZE(tq2_0);
CRIA_DEQUANTIZE(mxfp4);
CRIA_DEQUANTIZE(nvfp4);
#undef CRIA_DEQUANTIZE

#define CRIA_QUANTIZE(name) void quantize_##name(const float*, std::byte*, int64_t) noexcept
CRIA_QUANTIZE(f32);
CRIA_QUANTIZE(f16);
CRIA_QUANTIZE(bf16);
CRIA_QUANTIZE(q4_0);
CRIA_QUANTIZE(q4_1);
CRIA_QUANTIZE(q5_0);
CRIA_QUANTIZE(q5_1);
CRIA_QUANTIZE(q8_0);
CRIA_QUANTIZE(q2_k);
CRIA_QUANTIZE(q3_k);
CRIA_QUANTIZE(q4_k);
CRIA_QUANTIZE(q5_k);
CRIA_QUANTIZE(q6_k);
CRIA_QUANTIZE(tq1_0);
CRIA_QUANTIZE(tq2_0);
CRIA_QUANTIZE(mxfp4);
#undef CRIA_QUANTIZE

}  // namespace cria::quant
