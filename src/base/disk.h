// disk.h - the few calls that every durable write goes through, so that tests can let the k-th
// fail.
//
// Not for reading, and not for sockets: only files whose loss or half-written state would matter.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace cria::disk {

// As the system calls of these names, errno included.
ssize_t write(int descriptor, const void* bytes, size_t count) noexcept;
ssize_t pwrite(int descriptor, const void* bytes, size_t count, int64_t offset) noexcept;
int fsync(int descriptor) noexcept;
int rename(const char* from, const char* to) noexcept;

// For tests only. A process has one disk, hence the one piece of global state.
struct Fault {
  int64_t call = 0;    // counted from 1; 0: none
  int code = 0;        // errno of the failing call; kKill: the process dies there as by `kill -9`
  bool stays = false;  // every later call fails too, as on a full disk
};
inline constexpr int kKill = -1;
void plan_fault(const Fault& fault) noexcept;  // also sets the count of calls to zero
int64_t calls() noexcept;                      // since the last plan_fault

}  // namespace cria::disk
