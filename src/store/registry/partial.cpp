#include "store/registry/partial.h"

#include "base/disk.h"
#include "base/error.h"
#include "base/json.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace cria::store {
namespace {

constexpr size_t kStateBytes = 128;  // one write of fixed length: never half a state
constexpr size_t kMaxParts = 100'000;

[[noreturn]] void fail_partial(const fs::path& path, int code) {
  const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
  fail(full ? ErrorKind::kOutOfMemory : ErrorKind::kInternal, "cannot write {}: {}", path.string(),
       std::strerror(code));
}

std::optional<Part> read_state(const fs::path& path) {
  try {
    const Json json = parse_json(read_text_file(path, 4096));
    const auto offset = json_integer(json, "Offset"), size = json_integer(json, "Size"),
               completed = json_integer(json, "Completed");
    if (!offset || !size || !completed) return std::nullopt;
    return Part{.offset = *offset, .size = *size, .completed = *completed};
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

fs::path PartialBlob::part_path(size_t part) const {
  return fmt::format("{}-partial-{}", blob_.string(), part);
}

std::unique_ptr<PartialBlob> PartialBlob::open(const fs::path& blob, int64_t size,
                                               int64_t part_bytes) {
  std::unique_ptr<PartialBlob> partial(new PartialBlob(blob, size));
  const std::string path = partial->path().string();
  const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
  bool fresh = false;
  partial->descriptor_ = ::open(path.c_str(), flags);
  if (partial->descriptor_ < 0 && errno == ENOENT) {
    partial->descriptor_ = ::open(path.c_str(), flags | O_CREAT, 0644);
    fresh = true;
  }
  if (partial->descriptor_ < 0) fail_partial(path, errno);
  if (::flock(partial->descriptor_, LOCK_EX | LOCK_NB) != 0) return nullptr;
  struct stat here = {}, there = {};
  const bool same = ::fstat(partial->descriptor_, &here) == 0 &&
                    ::stat(path.c_str(), &there) == 0 && here.st_ino == there.st_ino;
  if (!same) return nullptr;  // finished or removed before the lock was ours
  if (fresh || here.st_size != size || !partial->read_parts()) {
    partial->remove_parts();
    partial->cut_parts(part_bytes);
  }
  partial->check_room();
  if (::ftruncate(partial->descriptor_, size) != 0) fail_partial(path, errno);
  return partial;
}

int64_t PartialBlob::completed_on_disk(const fs::path& blob, int64_t size) {
  PartialBlob partial(blob, size);
  partial.read_parts();
  int64_t completed = 0;  // no more than `size`: the parts do not overlap
  for (const Part& part : partial.parts_) completed += part.completed;
  return completed;
}

PartialBlob::~PartialBlob() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

// Hostile until checked: the parts must cover the blob without a gap.
bool PartialBlob::read_parts() {
  int64_t end = 0;
  for (size_t i = 0; end < size_ && i < kMaxParts; ++i) {
    auto part = read_state(part_path(i));
    if (!part || part->offset != end || part->size <= 0 || part->size > size_ - end) return false;
    if (part->completed < 0 || part->completed > part->size) part->completed = 0;
    end = part->end();
    parts_.push_back(*part);
  }
  return end == size_;
}

void PartialBlob::cut_parts(int64_t part_bytes) {
  parts_.clear();
  part_bytes = std::max(part_bytes, size_ / static_cast<int64_t>(kMaxParts) + 1);
  for (int64_t at = 0; at < size_; at += part_bytes)
    parts_.push_back({.offset = at, .size = std::min(part_bytes, size_ - at), .completed = 0});
  for (size_t i = 0; i < parts_.size(); ++i) save(i);
}

void PartialBlob::check_room() const {
  struct statvfs disk = {};
  struct stat file = {};
  if (::fstatvfs(descriptor_, &disk) != 0 || ::fstat(descriptor_, &file) != 0) return;
  const int64_t room = static_cast<int64_t>(disk.f_bavail) * static_cast<int64_t>(disk.f_frsize);
  const int64_t missing = size_ - std::min<int64_t>(size_, file.st_blocks * 512);
  if (missing <= room) return;
  const std::string where = path().parent_path().string();
  if (file.st_size == 0) {  // nothing of it is here: leave nothing behind
    remove_parts();
    ::unlink(path().c_str());
  }
  fail(ErrorKind::kOutOfMemory, "no space left in {}: {} more bytes are needed, {} are free", where,
       missing, room);
}

void PartialBlob::join_parts() {
  int64_t whole = 0;
  for (const Part& part : parts_) {
    whole += part.completed;
    if (!part.whole()) break;
  }
  remove_parts();
  parts_ = {{.offset = 0, .size = size_, .completed = whole}};
  save(0);
}

void PartialBlob::write(int64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = disk::pwrite(descriptor_, bytes.data(), bytes.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_partial(path(), errno);
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += n;
  }
}

void PartialBlob::read(int64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::pread(descriptor_, bytes.data(), bytes.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail(ErrorKind::kInternal, "{}: cannot be read back", path().string());
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += n;
  }
}

void PartialBlob::save(size_t part) const {
  const Part& p = parts_[part];
  std::string text = fmt::format(R"({{"N":{},"Offset":{},"Size":{},"Completed":{}}})", part,
                                 p.offset, p.size, p.completed);
  text.resize(std::max(kStateBytes, text.size() + 1), ' ');
  text.back() = '\n';
  const fs::path path = part_path(part);
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (descriptor < 0) fail_partial(path, errno);
  const ssize_t n = disk::pwrite(descriptor, text.data(), text.size(), 0);
  const int code = errno;
  // A longer text of another program would stand behind ours.
  const bool cut = ::ftruncate(descriptor, static_cast<off_t>(text.size())) == 0;
  ::close(descriptor);
  if (n != static_cast<ssize_t>(text.size()) || !cut) fail_partial(path, n < 0 ? code : ENOSPC);
}

void PartialBlob::remove_parts() const {
  for (size_t i = 0; i < kMaxParts; ++i)
    if (::unlink(part_path(i).c_str()) != 0) return;
}

void PartialBlob::drop_if_empty() {
  const bool empty =
      std::ranges::all_of(parts_, [](const Part& part) { return part.completed == 0; });
  if (!empty) return;
  ::unlink(path().c_str());
  remove_parts();
}

// The name first: a kill in between leaves parts without bytes, which count for nothing.
void PartialBlob::finish() {
  if (::fchmod(descriptor_, 0644) != 0 || disk::fsync(descriptor_) != 0)
    fail_partial(path(), errno);
  if (disk::rename(path().c_str(), blob_.c_str()) != 0) fail_partial(blob_, errno);
  sync_folder(blob_.parent_path());
  remove_parts();
}

}  // namespace cria::store
