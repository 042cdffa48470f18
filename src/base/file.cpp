#include "base/file.h"

#include "base/disk.h"
#include "base/error.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace cria {
namespace {

[[noreturn]] void fail_errno(const fs::path& path, std::string_view doing) {
  const int code = errno;
  const ErrorKind kind = code == ENOENT ? ErrorKind::kNotFound
                         : code == ENOSPC || code == EDQUOT || code == EFBIG
                             ? ErrorKind::kOutOfMemory
                         : code == EACCES || code == EPERM ? ErrorKind::kForbidden
                                                           : ErrorKind::kInternal;
  fail(kind, "{}: cannot {}: {}", path.string(), doing, std::strerror(code));
}

int64_t regular_size(int descriptor, const fs::path& path) {
  struct stat info = {};
  if (fstat(descriptor, &info) != 0) fail_errno(path, "read its size");
  if (!S_ISREG(info.st_mode))
    fail(ErrorKind::kInvalidInput, "{}: not a regular file", path.string());
  return info.st_size;
}

// Closes its descriptor unless released; unlinks `path` unless committed.
struct TemporaryFile {
  fs::path path;
  int descriptor = -1;
  bool committed = false;
  ~TemporaryFile() {
    if (descriptor >= 0) ::close(descriptor);
    if (!committed) ::unlink(path.c_str());
  }
};

void write_all(int descriptor, std::string_view content, const fs::path& path) {
  while (!content.empty()) {
    const ssize_t n = disk::write(descriptor, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno(path, "write");
    content.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace

std::shared_ptr<const File> File::open(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) fail_errno(path, "open");
  return adopt(descriptor, path.string());
}

std::shared_ptr<const File> File::adopt(int descriptor, std::string name) {
  std::shared_ptr<File> file(new File(descriptor, 0, std::move(name)));  // closes on error
  file->size_ = regular_size(descriptor, file->name_);
  return file;
}

File::File(int descriptor, int64_t size, std::string name)
    : descriptor_(descriptor), size_(size), name_(std::move(name)) {}

File::~File() {
  ::close(descriptor_);
}

void File::read_at(int64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t n = ::pread(descriptor_, out.data(), out.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno(name_, "read");
    if (n == 0) fail(ErrorKind::kInvalidInput, "{}: ends at byte {}, more expected", name_, offset);
    out = out.subspan(static_cast<size_t>(n));
    offset += n;
  }
}

bool File::is_cached(int64_t offset) const noexcept {
  std::byte byte;
  const iovec to = {.iov_base = &byte, .iov_len = 1};
  return ::preadv2(descriptor_, &to, 1, offset, RWF_NOWAIT) == 1;
}

Mapping::Mapping(std::shared_ptr<const File> file, int64_t length) : file_(std::move(file)) {
  if (length < 0 || length > file_->size())
    fail(ErrorKind::kInvalidInput, "{}: cannot map {} bytes of a file of {}", file_->name(), length,
         file_->size());
  if (length == 0) return;
  void* start =
      ::mmap(nullptr, static_cast<size_t>(length), PROT_READ, MAP_PRIVATE, file_->descriptor(), 0);
  if (start == MAP_FAILED) fail_errno(file_->name(), "map");
  bytes_ = {static_cast<const std::byte*>(start), static_cast<size_t>(length)};
}

Mapping::~Mapping() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

std::string read_text_file(const fs::path& path, int64_t max_bytes) {
  const auto file = File::open(path);
  if (file->size() > max_bytes)
    fail(ErrorKind::kTooLarge, "{}: {} bytes is over the limit of {}", path.string(), file->size(),
         max_bytes);
  std::string text(static_cast<size_t>(file->size()), '\0');
  file->read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

std::string read_stdin(int64_t max_bytes) {
  std::string text;
  std::array<char, 65536> buffer;
  while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), stdin)) {
    text.append(buffer.data(), n);
    if (std::ssize(text) > max_bytes)
      fail(ErrorKind::kTooLarge, "what comes on stdin is over the limit of {} bytes", max_bytes);
  }
  return text;
}

void sync_folder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail_errno(folder, "open");
  const int result = disk::fsync(descriptor);
  const int code = errno;
  ::close(descriptor);
  errno = code;
  if (result != 0 && code != EINVAL) fail_errno(folder, "sync");
}

void write_file_atomically(const fs::path& path, std::string_view content) {
  // Hidden, so that no reader of the folder takes it for one of its files.
  const fs::path hidden = "." + path.filename().string() + std::string(kTemporaryMark) + "XXXXXX";
  std::string pattern = (path.parent_path() / hidden).string();
  const int descriptor = ::mkostemp(pattern.data(), O_CLOEXEC);
  if (descriptor < 0) fail_errno(path, "create a temporary file beside it");
  TemporaryFile temporary{.path = pattern, .descriptor = descriptor};
  write_all(descriptor, content, path);
  if (::fchmod(descriptor, 0644) != 0) fail_errno(path, "set its mode");
  if (disk::fsync(descriptor) != 0) fail_errno(path, "sync");
  if (disk::rename(pattern.c_str(), path.c_str()) != 0) fail_errno(path, "rename into place");
  temporary.committed = true;
  sync_folder(path.has_parent_path() ? path.parent_path() : fs::path("."));
}

}  // namespace cria
