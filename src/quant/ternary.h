// ternary.h - the digits of TQ1_0 blocks.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cria::quant {

// 0, 1 or 2 for -d, 0 and d: values 32 * sub to 32 * sub + 31 of a block of TQ1_0, sub below 8.
void tq1_codes(const std::byte* block, int64_t sub, uint8_t* codes) noexcept;

}  // namespace cria::quant
