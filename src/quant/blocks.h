// blocks.h - reading and writing the fields of blocks, which are packed and unaligned.
#pragma once

#include "quant/half.h"

#include <cmath>
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
inline float read_half(const std::byte* p) noexcept {
  return half_to_float(read_as<uint16_t>(p));
}

// Calls body(block, out) for each block of `kElements` values and `kBytes` bytes.
template <int64_t kElements, int64_t kBytes, class Body>
void for_blocks(const std::byte* blocks, float* out, int64_t count, Body body) noexcept {
  for (int64_t i = 0; i < count / kElements; ++i) body(blocks + i * kBytes, out + i * kElements);
}

// The same the other way round.
template <int64_t kElements, int64_t kBytes, class Body>
void quantize_blocks(const float* in, std::byte* blocks, int64_t count, Body body) noexcept {
  for (int64_t i = 0; i < count / kElements; ++i) body(in + i * kElements, blocks + i * kBytes);
}

template <class T>
void put(std::byte* p, T value) noexcept {
  std::memcpy(p, &value, sizeof(T));
}
inline void put_half(std::byte* p, float value) noexcept {
  put(p, float_to_half(value));
}
inline void put_nibbles(std::byte* p, int64_t i, int low, int high) noexcept {
  p[i] = static_cast<std::byte>(low | high << 4);
}

inline float inverse_or_zero(float d) noexcept {
  return d != 0 ? 1.0f / d : 0.0f;
}

// Float to integer for weights of any value: converting NaN or a number out of range is undefined
// in C++, so all three clamp first, and NaN gives `low`.
inline int truncate(float v, int low, int high) noexcept {
  if (!(v > static_cast<float>(low))) return low;
  return v >= static_cast<float>(high) ? high : static_cast<int>(v);
}
inline int round_even(float v, int low, int high) noexcept {
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: the sum has no bits left for a fraction
  return truncate((v + kShift) - kShift, low, high);
}
inline int round_away(float v, int low, int high) noexcept {
  return truncate(std::round(v), low, high);
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
