// row_words.h - 16 rows of a weight read side by side, for packing them into a panel.
//
// Rows are read 16 bytes at a time, four rows to a "quad": transposed, a vector is a word of each
// of the four rows, which is what a panel keeps together.
#pragma once

#include "ml/cpu/kernels.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace cria::ml::cpu {

constexpr size_t kLanes = kPanelRows;
using Lanes = std::array<uint32_t, kLanes>;             // a word of each row
using Rows = std::array<const std::byte*, kPanelRows>;  // where each row, or its block, begins

using Four [[gnu::vector_size(16)]] = uint32_t;
using Quad = std::array<Four, 4>;  // four words of each of four rows

// The rows in `native`, up to 16 of `row_bytes` bytes; those that are missing begin at `missing`.
inline Rows rows_of(std::span<const std::byte> native, int64_t row_bytes,
                    const std::byte* missing) {
  Rows rows;
  for (size_t r = 0; r < rows.size(); ++r) {
    const size_t at = r * static_cast<size_t>(row_bytes);
    rows[r] = at < native.size() ? native.data() + at : missing;
  }
  return rows;
}

// 16 bytes at `offset` of rows 4 * quad to 4 * quad + 3, a vector of each row.
[[gnu::always_inline]] inline Quad load_quad(const Rows& rows, size_t quad, int64_t offset) {
  Quad x;
  for (size_t i = 0; i < 4; ++i) std::memcpy(&x[i], rows[4 * quad + i] + offset, sizeof(Four));
  return x;
}

// Rows become words, and words rows.
[[gnu::always_inline]] inline void transpose(Quad& x) {
  const Four ab_low = __builtin_shufflevector(x[0], x[1], 0, 4, 1, 5);
  const Four cd_low = __builtin_shufflevector(x[2], x[3], 0, 4, 1, 5);
  const Four ab_high = __builtin_shufflevector(x[0], x[1], 2, 6, 3, 7);
  const Four cd_high = __builtin_shufflevector(x[2], x[3], 2, 6, 3, 7);
  x[0] = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
  x[1] = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
  x[2] = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
  x[3] = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
}

// Four words at `offset` of each row.
[[gnu::always_inline]] inline void load_words(const Rows& rows, int64_t offset, Lanes* out) {
  for (size_t quad = 0; quad < 4; ++quad) {
    Quad x = load_quad(rows, quad, offset);
    transpose(x);
    for (size_t i = 0; i < 4; ++i) std::memcpy(out[i].data() + 4 * quad, &x[i], sizeof(Four));
  }
}

}  // namespace cria::ml::cpu
