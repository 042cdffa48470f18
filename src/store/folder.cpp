#include "store/folder.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace cria::store {

void fail_write(const fs::path& path, int code) {
  const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
  fail(full ? ErrorKind::kOutOfMemory : ErrorKind::kInternal, "cannot write {}: {}", path.string(),
       std::strerror(code));
}

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code))
    found.push_back(it->path());
  std::ranges::sort(found);
  return found;
}

bool is_being_written(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0) return true;
  const bool locked = ::flock(descriptor, LOCK_EX | LOCK_NB) != 0;
  ::close(descriptor);
  return locked;
}

}  // namespace cria::store
