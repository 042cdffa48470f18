// dtype.h - the table of element types: names, GGUF ids, block sizes, conversion to and from float.
//
// One file per block format in this folder implements its two functions; rows are contiguous
// blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace cria::quant {

// Values are GGUF's tensor type ids (ggml_type).
enum class DType : int32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ8_1 = 9,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kQ8_K = 15,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ1_S = 19,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kIQ1_M = 29,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
  kNVFP4 = 40,
  kQ1_0 = 41,
  kQ2_0 = 42,
  kMXFP4Early = 4,  // gpt-oss files of 2025: MXFP4 with neighbours in one byte
};

struct DTypeInfo {
  DType dtype;
  std::string_view name;   // "Q4_K", as file listings print it
  int64_t block_elements;  // 1 for plain types
  int64_t block_bytes;
  // Converts `count` elements (a multiple of block_elements); bit-exact to the reference tables.
  // Null when the type is storage only (integers).
  void (*dequantize)(const std::byte* blocks, float* out, int64_t count) noexcept;
  // Null where quantising is not offered.
  void (*quantize)(const float* in, std::byte* blocks, int64_t count) noexcept;
};

// Null when the id is unknown: ids come from files.
const DTypeInfo* find_dtype(int64_t gguf_id) noexcept;
const DTypeInfo* find_dtype(std::string_view name) noexcept;  // case-insensitive
const DTypeInfo& info(DType dtype) noexcept;                  // dtype must be an enumerator
std::span<const DTypeInfo> all_dtypes() noexcept;

// Bytes of a row of `elements`; nullopt when it is not whole blocks or overflows.
std::optional<int64_t> row_bytes(DType dtype, int64_t elements) noexcept;

}  // namespace cria::quant
