// ternary.h - the digits of TQ1_0 blocks.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cria::quant {

// 0, 1 or 2 for -d, 0 and d: value i (0..255) of a block of TQ1_0.
int tq1_code(const std::byte* block, int64_t i) noexcept;

}  // namespace cria::quant
