#include "base/disk.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>

namespace cria::disk {
namespace {

std::atomic<int64_t> calls_made{0};
std::atomic<int64_t> failing_call{0};
std::atomic<int> failing_code{0};
std::atomic<bool> failing_stays{false};

bool fails_now() noexcept {
  const int64_t call = ++calls_made, failing = failing_call;
  if (failing == 0 || call < failing || (call > failing && !failing_stays)) return false;
  if (failing_code == kKill) ::raise(SIGKILL);
  errno = failing_code;
  return true;
}

}  // namespace

ssize_t write(int descriptor, const void* bytes, size_t count) noexcept {
  return fails_now() ? -1 : ::write(descriptor, bytes, count);
}

ssize_t pwrite(int descriptor, const void* bytes, size_t count, int64_t offset) noexcept {
  return fails_now() ? -1 : ::pwrite(descriptor, bytes, count, offset);
}

int fsync(int descriptor) noexcept {
  return fails_now() ? -1 : ::fsync(descriptor);
}

int rename(const char* from, const char* to) noexcept {
  return fails_now() ? -1 : std::rename(from, to);
}

void plan_fault(const Fault& fault) noexcept {
  failing_call = 0;
  failing_code = fault.code;
  failing_stays = fault.stays;
  calls_made = 0;
  failing_call = fault.call;
}

int64_t calls() noexcept {
  return calls_made;
}

}  // namespace cria::disk
