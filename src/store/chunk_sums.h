// chunk_sums.h - cheap checksums of the pieces of a blob, so that damage is found where it is and
// only that is fetched again.
//
// They are not trusted against an attacker (a blob's digest is), only against disks and memory:
// XXH3, 128 bits, of every 4 MiB. Beside the store, in <models>/cria/chunks/<hex of the digest>:
//   8 bytes "CRIACHK1", then little-endian: u64 size of the blob, u64 size of a chunk,
//   16 bytes per chunk (low word, high word; the last chunk may be shorter), u64 XXH3-64 of all
//   bytes before.
#pragma once

#include "base/file.h"
#include "base/sha256.h"
#include "store/name.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cria::store {

struct ChunkSum {
  uint64_t low = 0, high = 0;
  bool operator==(const ChunkSum&) const = default;
};

// The checksum of bytes that arrive in pieces.
class ChunkHash {
 public:
  ChunkHash();
  ~ChunkHash();
  void update(std::span<const std::byte> bytes);
  ChunkSum finish();  // and begins anew

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct ChunkSums {
  static constexpr int64_t kChunk = int64_t{4} << 20;

  int64_t size = 0;            // of the blob
  std::vector<ChunkSum> sums;  // of [i * kChunk, (i + 1) * kChunk)

  static int64_t count(int64_t size) { return (size + kChunk - 1) / kChunk; }
  // Throws Error{kInvalidInput} naming what is wrong.
  static ChunkSums parse(std::string_view bytes);
  // nullopt when there is no such file, it is damaged, or it is of a blob of another size.
  static std::optional<ChunkSums> read(const fs::path& path, int64_t blob_size);
  std::string bytes() const;
  void write(const fs::path& path) const;  // makes the folder, too
};

struct HashedBlob {
  Digest digest;
  ChunkSums sums;
};

// Digest and chunk checksums of a blob that arrives in pieces.
class BlobHash {
 public:
  void update(std::span<const std::byte> bytes);
  HashedBlob finish();  // once

 private:
  Sha256 hash_;
  ChunkHash chunk_;
  ChunkSums sums_;
};

}  // namespace cria::store
