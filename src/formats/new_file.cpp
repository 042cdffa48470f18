#include "formats/new_file.h"

#include "base/disk.h"
#include "base/error.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace cria::formats {
namespace {

[[noreturn]] void fail_errno(const fs::path& path, std::string_view doing) {
  const int code = errno;
  const ErrorKind kind = code == ENOSPC || code == EDQUOT ? ErrorKind::kOutOfMemory
                         : code == ENOENT                 ? ErrorKind::kNotFound
                         : code == EACCES || code == EPERM || code == EROFS ? ErrorKind::kForbidden
                                                                            : ErrorKind::kInternal;
  fail(kind, "{}: cannot {}: {}", path.string(), doing, std::strerror(code));
}

}  // namespace

NewFile::NewFile(fs::path path)
    : path_(std::move(path)), temporary_(path_.string() + ".tmp-XXXXXX") {
  descriptor_ = ::mkostemp(temporary_.data(), O_CLOEXEC);
  if (descriptor_ < 0) fail_errno(path_, "create a temporary file beside it");
}

NewFile::~NewFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void NewFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = disk::write(descriptor_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno(path_, "write");
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

void NewFile::commit() {
  if (::fchmod(descriptor_, 0644) != 0) fail_errno(path_, "set its mode");
  if (disk::fsync(descriptor_) != 0) fail_errno(path_, "sync");
  if (disk::rename(temporary_.c_str(), path_.c_str()) != 0) fail_errno(path_, "rename into place");
  ::close(descriptor_);
  descriptor_ = -1;
  sync_folder(path_.has_parent_path() ? path_.parent_path() : fs::path("."));
}

}  // namespace cria::formats
