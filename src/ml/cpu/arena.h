// arena.h - one large zeroed block of memory, on huge pages where the system gives them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cria::ml::cpu {

class Arena {
 public:
  // Throws Error{kOutOfMemory} with the size. Memory is touched first by whoever writes it.
  explicit Arena(int64_t bytes);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  uint8_t* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  uint8_t* data_ = nullptr;
  int64_t bytes_;
};

constexpr int64_t align_up(int64_t n, int64_t to) {
  return (n + to - 1) / to * to;
}

}  // namespace cria::ml::cpu
