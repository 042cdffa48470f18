// iq_groups.h - what the IQ formats with codebooks store, one group of 32 values at a time.
//
// value j of a group = d * factor * scales[j / 16] * levels[codes[j]]; every product is exact in
// float32. Source of the layouts: ggml-common.h and ggml-quants.c of ggml, by way of the tables in
// iq_grids.cpp; tested against blocks that the gguf library dequantised.
#pragma once

#include "quant/dtype.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace cria::quant {

struct IqGroup {
  std::array<uint8_t, 32> codes;  // below 8; below 16 for IQ3
  std::array<int8_t, 2> scales;   // of 16 values each
};

struct IqFormat {
  DType dtype;
  uint16_t (*d)(const std::byte* block) noexcept;                          // a half
  void (*read)(const std::byte* block, int64_t g, IqGroup& out) noexcept;  // g in [0, 8)
  float factor;                                                            // a power of two
  std::array<int8_t, 16> levels;
};

// Null for other types.
const IqFormat* find_iq_format(DType dtype) noexcept;

}  // namespace cria::quant
