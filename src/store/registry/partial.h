// partial.h - a blob that is being downloaded, on disk: its bytes so far and how far its parts are.
//
//   sha256-<hex>-partial       all bytes at their place, of the final size, sparse
//   sha256-<hex>-partial-<N>   {"N":0,"Offset":0,"Size":100000000,"Completed":0}
//
// Ollama's files (spec store-and-registry.md 6): either program goes on where the other stopped.
#pragma once

#include "base/file.h"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace cria::store {

struct Part {
  int64_t offset = 0, size = 0, completed = 0;
  int64_t end() const { return offset + size; }
  bool whole() const { return completed == size; }
};

class PartialBlob {
 public:
  // Null while another process (or another job of this one) writes it. Parts that stand on disk and
  // fit are taken over; else they are cut anew, each of `part_bytes`. Throws Error{kOutOfMemory}
  // when the disk has no room for what is missing.
  static std::unique_ptr<PartialBlob> open(const fs::path& blob, int64_t size, int64_t part_bytes);
  // Bytes that stand on disk already, whoever writes them.
  static int64_t completed_on_disk(const fs::path& blob, int64_t size);
  ~PartialBlob();
  PartialBlob(const PartialBlob&) = delete;
  PartialBlob& operator=(const PartialBlob&) = delete;

  std::vector<Part>& parts() { return parts_; }
  int64_t size() const { return size_; }
  // One part instead of all, as long as what is complete from the beginning.
  void join_parts();
  void write(int64_t offset, std::span<const std::byte> bytes);  // Error{kOutOfMemory} when full
  void read(int64_t offset, std::span<std::byte> bytes) const;
  void save(size_t part) const;  // where that part stands
  // Moves the bytes to the blob's own name; the parts' files go.
  void finish();
  // After a failure: files without a single byte go.
  void drop_if_empty();

 private:
  PartialBlob(fs::path blob, int64_t size) : blob_(std::move(blob)), size_(size) {}
  bool read_parts();
  void cut_parts(int64_t part_bytes);
  void check_room() const;
  void remove_parts() const;
  fs::path path() const { return blob_.string() + "-partial"; }
  fs::path part_path(size_t part) const;

  fs::path blob_;
  int64_t size_;
  int descriptor_ = -1;
  std::vector<Part> parts_;
};

}  // namespace cria::store
