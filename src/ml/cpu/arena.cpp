#include "ml/cpu/arena.h"

#include "base/error.h"
#include "base/settings.h"

#include <sys/mman.h>

namespace cria::ml::cpu {
namespace {

constexpr int64_t kHugePage = 2 << 20;

}  // namespace

Arena::Arena(int64_t bytes) : bytes_(align_up(bytes > 0 ? bytes : 1, kHugePage)) {
  void* start = ::mmap(nullptr, static_cast<size_t>(bytes_ + kHugePage), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED)
    throw Error(ErrorKind::kOutOfMemory, fmt::format("cannot get {} bytes of memory", bytes_),
                Shortage{.needed = bytes_});
  // Aligned by hand: the kernel gives huge pages only to aligned spans. The slack is returned.
  const auto address = reinterpret_cast<uintptr_t>(start);
  const uintptr_t aligned = (address + kHugePage - 1) / kHugePage * kHugePage;
  data_ = static_cast<uint8_t*>(start) + (aligned - address);
  if (aligned > address) ::munmap(start, aligned - address);
  const uintptr_t slack = address + kHugePage - aligned;
  if (slack > 0) ::munmap(data_ + bytes_, slack);
  if (!setting_flag("CRIA_NO_HUGE_PAGES"))
    ::madvise(data_, static_cast<size_t>(bytes_), MADV_HUGEPAGE);
}

Arena::~Arena() {
  ::munmap(data_, static_cast<size_t>(bytes_));
}

}  // namespace cria::ml::cpu
