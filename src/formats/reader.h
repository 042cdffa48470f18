// reader.h - a cursor over untrusted bytes: every read is checked against what is left.
#pragma once

#include "base/error.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace cria::formats {

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  int64_t position() const { return static_cast<int64_t>(position_); }
  uint64_t left() const { return bytes_.size() - position_; }

  template <class T>
  T value() {
    T result;
    std::memcpy(&result, take(sizeof(T)), sizeof(T));
    return result;
  }

  // A length-prefixed string; at most `limit` bytes.
  std::string text(uint64_t limit) {
    const auto length = value<uint64_t>();
    if (length > limit || length > left())
      fail(ErrorKind::kInvalidInput, "string of {} bytes at byte {}: {} are left in the file",
           length, position_, left());
    const auto* start = reinterpret_cast<const char*>(take(length));
    return std::string(start, length);
  }

  // Fails unless `count` elements of at least `size` bytes can follow.
  void expect(uint64_t count, uint64_t size, const char* what) const {
    if (count > left() / size)
      fail(ErrorKind::kInvalidInput, "{} {} at byte {}: only {} bytes are left in the file", count,
           what, position_, left());
  }

 private:
  const std::byte* take(uint64_t count) {
    if (count > left())
      fail(ErrorKind::kInvalidInput, "the file ends at byte {}, {} more are needed at byte {}",
           bytes_.size(), count, position_);
    const std::byte* start = bytes_.data() + position_;
    position_ += count;
    return start;
  }

  std::span<const std::byte> bytes_;
  uint64_t position_ = 0;
};

}  // namespace cria::formats
