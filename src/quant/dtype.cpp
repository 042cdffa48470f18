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
    DTypeInfo{DType::kQ4_0, "Q4_0", 32, 18, dequantize_q4_0, nullptr},
    DTypeInfo{DType::kQ4_1, "Q4_1", 32, 20, dequantize_q4_1, nullptr},
    DTypeInfo{DType::kQ5_0, "Q5_0", 32, 22, dequantize_q5_0, nullptr},
    DTypeInfo{DType::kQ5_1, "Q5_1", 32, 24, dequantize_q5_1, nullptr},
    DTypeInfo{DType::kQ8_0, "Q8_0", 32, 34, dequantize_q8_0, nullptr},
    DTypeInfo{DType::kQ4_K, "Q4_K", 256, 144, dequantize_q4_k, nullptr},
    DTypeInfo{DType::kQ5_K, "Q5_K", 256, 176, dequantize_q5_k, nullptr},
    DTypeInfo{DType::kQ6_K, "Q6_K", 256, 210, dequantize_q6_k, nullptr},
    DTypeInfo{DType::kI8, "I8", 1, 1, nullptr, nullptr},
    DTypeInfo{DType::kI16, "I16", 1, 2, nullptr, nullptr},
    DTypeInfo{DType::kI32, "I32", 1, 4, nullptr, nullptr},
    DTypeInfo{DType::kI64, "I64", 1, 8, nullptr, nullptr},
    DTypeInfo{DType::kF64, "F64", 1, 8, dequantize_f64, nullptr},
};

bool same_letters(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) {
    return std::toupper(x) == std::toupper(y);
  });
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

std::span<const DTypeInfo> all_dtypes() noexcept { return kTable; }

std::optional<int64_t> row_bytes(DType dtype, int64_t elements) noexcept {
  const DTypeInfo& type = info(dtype);
  int64_t bytes = 0;
  if (elements < 0 || elements % type.block_elements != 0 ||
      __builtin_mul_overflow(elements / type.block_elements, type.block_bytes, &bytes))
    return std::nullopt;
  return bytes;
}

}  // namespace cria::quant
