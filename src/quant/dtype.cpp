#include "quant/dtype.h"

#include "base/error.h"
#include "quant/formats.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace cria::quant {
namespace {

constexpr std::array kTable = {
    DTypeInfo{DType::kF32, "F32", 1, 4, dequantize_f32, quantize_f32},
    DTypeInfo{DType::kF16, "F16", 1, 2, dequantize_f16, quantize_f16},
    DTypeInfo{DType::kBF16, "BF16", 1, 2, dequantize_bf16, quantize_bf16},
    DTypeInfo{DType::kQ4_0, "Q4_0", 32, 18, dequantize_q4_0, quantize_q4_0},
    DTypeInfo{DType::kQ4_1, "Q4_1", 32, 20, dequantize_q4_1, quantize_q4_1},
    DTypeInfo{DType::kQ5_0, "Q5_0", 32, 22, dequantize_q5_0, quantize_q5_0},
    DTypeInfo{DType::kQ5_1, "Q5_1", 32, 24, dequantize_q5_1, quantize_q5_1},
    DTypeInfo{DType::kQ8_0, "Q8_0", 32, 34, dequantize_q8_0, quantize_q8_0},
    DTypeInfo{DType::kQ8_1, "Q8_1", 32, 36, dequantize_q8_1, nullptr},
    DTypeInfo{DType::kQ2_K, "Q2_K", 256, 84, dequantize_q2_k, quantize_q2_k},
    DTypeInfo{DType::kQ3_K, "Q3_K", 256, 110, dequantize_q3_k, quantize_q3_k},
    DTypeInfo{DType::kQ4_K, "Q4_K", 256, 144, dequantize_q4_k, quantize_q4_k},
    DTypeInfo{DType::kQ5_K, "Q5_K", 256, 176, dequantize_q5_k, quantize_q5_k},
    DTypeInfo{DType::kQ6_K, "Q6_K", 256, 210, dequantize_q6_k, quantize_q6_k},
    DTypeInfo{DType::kQ8_K, "Q8_K", 256, 292, dequantize_q8_k, nullptr},
    DTypeInfo{DType::kIQ1_S, "IQ1_S", 256, 50, dequantize_iq1_s, nullptr},
    DTypeInfo{DType::kIQ1_M, "IQ1_M", 256, 56, dequantize_iq1_m, nullptr},
    DTypeInfo{DType::kIQ2_XXS, "IQ2_XXS", 256, 66, dequantize_iq2_xxs, nullptr},
    DTypeInfo{DType::kIQ2_XS, "IQ2_XS", 256, 74, dequantize_iq2_xs, nullptr},
    DTypeInfo{DType::kIQ2_S, "IQ2_S", 256, 82, dequantize_iq2_s, nullptr},
    DTypeInfo{DType::kIQ3_XXS, "IQ3_XXS", 256, 98, dequantize_iq3_xxs, nullptr},
    DTypeInfo{DType::kIQ3_S, "IQ3_S", 256, 110, dequantize_iq3_s, nullptr},
    DTypeInfo{DType::kIQ4_NL, "IQ4_NL", 32, 18, dequantize_iq4_nl, nullptr},
    DTypeInfo{DType::kIQ4_XS, "IQ4_XS", 256, 136, dequantize_iq4_xs, nullptr},
    DTypeInfo{DType::kTQ1_0, "TQ1_0", 256, 54, dequantize_tq1_0, quantize_tq1_0},
    DTypeInfo{DType::kTQ2_0, "TQ2_0", 256, 66, dequantize_tq2_0, quantize_tq2_0},
    DTypeInfo{DType::kMXFP4, "MXFP4", 32, 17, dequantize_mxfp4, quantize_mxfp4},
    DTypeInfo{DType::kNVFP4, "NVFP4", 64, 36, dequantize_nvfp4, nullptr},
    DTypeInfo{DType::kMXFP4Early, "MXFP4_EARLY", 32, 17, dequantize_mxfp4_early, nullptr},
    DTypeInfo{DType::kQ1_0, "Q1_0", 128, 18, dequantize_q1_0, nullptr},
    DTypeInfo{DType::kQ2_0, "Q2_0", 64, 18, dequantize_q2_0, nullptr},
    DTypeInfo{DType::kI8, "I8", 1, 1, nullptr, nullptr},
    DTypeInfo{DType::kI16, "I16", 1, 2, nullptr, nullptr},
    DTypeInfo{DType::kI32, "I32", 1, 4, nullptr, nullptr},
    DTypeInfo{DType::kI64, "I64", 1, 8, nullptr, nullptr},
    DTypeInfo{DType::kF64, "F64", 1, 8, dequantize_f64, nullptr},
};

bool same_letters(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::toupper(x) == std::toupper(y); });
}

}  // namespace

const DTypeInfo* find_dtype(int64_t gguf_id) noexcept {
  for (const DTypeInfo& row : kTable)
    if (static_cast<int64_t>(row.dtype) == gguf_id) return &row;
  return nullptr;
}

const DTypeInfo* find_dtype(std::string_view name) noexcept {
  for (const DTypeInfo& row : kTable)
    if (same_letters(row.name, name)) return &row;
  return nullptr;
}

const DTypeInfo& info(DType dtype) noexcept {
  const DTypeInfo* row = find_dtype(static_cast<int64_t>(dtype));
  CRIA_CHECK(row != nullptr, "dtype is an enumerator with a row");
  return *row;
}

std::span<const DTypeInfo> all_dtypes() noexcept {
  return kTable;
}

std::optional<int64_t> row_bytes(DType dtype, int64_t elements) noexcept {
  const DTypeInfo& type = info(dtype);
  int64_t bytes = 0;
  if (elements < 0 || elements % type.block_elements != 0 ||
      __builtin_mul_overflow(elements / type.block_elements, type.block_bytes, &bytes))
    return std::nullopt;
  return bytes;
}

}  // namespace cria::quant
