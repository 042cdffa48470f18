// gguf.h - numbers of the GGUF container that reader and writer share (docs: store spec section
// 11).
#pragma once

#include <cstdint>

namespace cria::formats {

enum class GgufType : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64,
};

inline constexpr uint32_t kGgufMagic = 0x46554747;  // "GGUF"
inline constexpr int64_t kDefaultAlignment = 32;
inline constexpr int64_t kMaxAlignment = 1 << 20;
inline constexpr uint64_t kMaxKeyBytes = 65535;
inline constexpr uint64_t kMaxStringBytes = uint64_t{16} << 20;
inline constexpr uint64_t kMaxArray = uint64_t{64} << 20;
inline constexpr int kMaxArrayDepth = 4;
inline constexpr int64_t kMaxShards = 1000;

}  // namespace cria::formats
