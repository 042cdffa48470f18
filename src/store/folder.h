// folder.h - what the parts of the store share: the lock on its folder, locks on files that are
// being written, directory listings. Internal to store.
#pragma once

#include "base/error.h"
#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <string_view>
#include <vector>

namespace cria::store {

inline constexpr std::string_view kUploadPrefix = "sha256-tmp-";  // and six characters

// Held while a manifest changes or a blob is removed: by one thread of one process at a time, since
// each holder locks a descriptor of its own.
class ChangeLock {
 public:
  explicit ChangeLock(const fs::path& folder)
      : descriptor_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (descriptor_ >= 0) ::flock(descriptor_, LOCK_EX);
  }
  ~ChangeLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  ChangeLock(const ChangeLock&) = delete;
  ChangeLock& operator=(const ChangeLock&) = delete;

 private:
  int descriptor_;
};

// Throws Error{kOutOfMemory} for a full disk, {kInternal} for any other errno.
[[noreturn]] void fail_write(const fs::path& path, int code);
// Paths in the folder, in ascending order; none when it cannot be read.
std::vector<fs::path> entries(const fs::path& folder);
// Whoever writes a temporary blob holds a lock on it, which ends with the process however it ends.
// A file that cannot be opened counts as being written.
bool is_being_written(const fs::path& path);

}  // namespace cria::store
