// blocks.h - reading and writing the fields of blocks, which are packed and unaligned.
#pragma once

#include "quant/half.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace cria::quant {

inline uint8_t byte_at(const std::byte* p, int64_t i) noexcept {
  return std::to_integer<uint8_t>(p[i]);
}
template <class T>
T read_as(const std::byte* p) noexcept {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}
inline float read_half(const std::byte* p) noexcept { return half_to_float(read_as<uint16_t>(p)); }

// Calls body(block, out) for each block of `kElements` values and `kBytes` bytes.
template <int64_t kElements, int64_t kBytes, class Body>
void for_blocks(const std::byte* blocks, float* out, int64_t count, Body body) noexcept {
  for (int64_t i = 0; i < count / kElements; ++i) body(blocks + i * kBytes, out + i * kElements);
}

// Scale and minimum of sub-block j (0..7) of Q4_K and Q5_K: 6 bits each, packed in 12 bytes.
inline void scale_and_min(const std::byte* s, int64_t j, int& scale, int& min) noexcept {
  if (j < 4) {
    scale = byte_at(s, j) & 63;
    min = byte_at(s, j + 4) & 63;
  } else {
    scale = (byte_at(s, j + 4) & 15) | (byte_at(s, j - 4) >> 6) << 4;
    min = (byte_at(s, j + 4) >> 4) | (byte_at(s, j) >> 6) << 4;
  }
}

}  // namespace cria::quant
