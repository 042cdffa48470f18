// upload.cpp - a blob on its way into the store: a locked temporary file until its hash is known.
#include "base/disk.h"
#include "store/folder.h"
#include "store/store.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace cria::store {
namespace {

bool is_linked(int descriptor) {
  struct stat info = {};
  return ::fstat(descriptor, &info) == 0 && info.st_nlink > 0;
}

}  // namespace

Store::Upload::Upload(const Store& store) : store_(store) {
  std::string pattern;
  do {  // again when prune took the file for a leftover before it was locked
    if (descriptor_ >= 0) ::close(descriptor_);
    pattern = (store.folder_ / "blobs" / kUploadPrefix).string() + "XXXXXX";
    descriptor_ = ::mkostemp(pattern.data(), O_CLOEXEC);
    if (descriptor_ < 0) fail_write(pattern, errno);
    ::flock(descriptor_, LOCK_EX);
  } while (!is_linked(descriptor_));
  path_ = pattern;
}

Store::Upload::~Upload() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(path_.c_str());
}

void Store::Upload::write(std::span<const std::byte> bytes) {
  hash_.update(bytes);
  size_ += static_cast<int64_t>(bytes.size());
  while (!bytes.empty()) {
    const ssize_t n = disk::write(descriptor_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_write(path_, errno);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

void Store::Upload::take_written() {
  const auto file = File::open(path_);
  std::vector<std::byte> buffer(size_t{1} << 20);
  for (int64_t at = 0; at < file->size();) {
    const auto part = std::span(buffer).first(
        static_cast<size_t>(std::min<int64_t>(std::ssize(buffer), file->size() - at)));
    file->read_at(at, part);
    hash_.update(part);
    at += std::ssize(part);
  }
  size_ = file->size();
}

Digest Store::Upload::finish(const std::optional<Digest>& expected) {
  const HashedBlob hashed = hash_.finish();
  const Digest& digest = hashed.digest;
  if (expected && *expected != digest)
    fail(ErrorKind::kInvalidInput, "digest mismatch, expected \"{}\", got \"{}\"", expected->text(),
         digest.text());
  if (::fchmod(descriptor_, 0644) != 0 || disk::fsync(descriptor_) != 0) fail_write(path_, errno);
  const fs::path target = store_.blob_path(digest);
  if (disk::rename(path_.c_str(), target.c_str()) != 0) fail_write(target, errno);
  ::close(descriptor_);
  descriptor_ = -1;
  sync_folder(target.parent_path());
  store_.keep_chunk_sums(digest, hashed.sums);
  return digest;
}

}  // namespace cria::store
