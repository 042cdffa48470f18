#include "store/chunk_sums.h"

#include "base/error.h"
#include "base/log.h"

#include <xxhash.h>

#include <algorithm>

namespace cria::store {
namespace {

constexpr std::string_view kMagic = "CRIACHK1";
constexpr size_t kHead = kMagic.size() + 16, kTail = 8, kSumBytes = 16;
constexpr int64_t kMaxFile = int64_t{64} << 20;  // of a blob of 16 TB

void put(std::string& out, uint64_t value) {
  for (int i = 0; i < 8; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

uint64_t get(std::string_view bytes, size_t at) {
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i)
    value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  return value;
}

uint64_t own_sum(std::string_view bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace

struct ChunkHash::State {
  XXH3_state_t* xxh = XXH3_createState();
  ~State() { XXH3_freeState(xxh); }
};

ChunkHash::ChunkHash() : state_(std::make_unique<State>()) {
  if (state_->xxh == nullptr) fail(ErrorKind::kOutOfMemory, "no memory for a checksum");
  XXH3_128bits_reset(state_->xxh);
}
ChunkHash::~ChunkHash() = default;

void ChunkHash::update(std::span<const std::byte> bytes) {
  XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size());
}

ChunkSum ChunkHash::finish() {
  const XXH128_hash_t sum = XXH3_128bits_digest(state_->xxh);
  XXH3_128bits_reset(state_->xxh);
  return {.low = sum.low64, .high = sum.high64};
}

void BlobHash::update(std::span<const std::byte> bytes) {
  hash_.update(bytes);
  while (!bytes.empty()) {
    const int64_t room = ChunkSums::kChunk - sums_.size % ChunkSums::kChunk;
    const auto part = bytes.first(static_cast<size_t>(std::min(room, std::ssize(bytes))));
    chunk_.update(part);
    sums_.size += std::ssize(part);
    if (sums_.size % ChunkSums::kChunk == 0) sums_.sums.push_back(chunk_.finish());
    bytes = bytes.subspan(part.size());
  }
}

HashedBlob BlobHash::finish() {
  if (sums_.size % ChunkSums::kChunk != 0) sums_.sums.push_back(chunk_.finish());
  return {.digest = Digest::from_hex(hash_.hex()), .sums = std::move(sums_)};
}

ChunkSums ChunkSums::parse(std::string_view bytes) {
  if (bytes.size() < kHead + kTail || !bytes.starts_with(kMagic))
    fail(ErrorKind::kInvalidInput, "not a file of chunk checksums");
  const std::string_view content = bytes.substr(0, bytes.size() - kTail);
  if (get(bytes, content.size()) != own_sum(content))
    fail(ErrorKind::kInvalidInput, "the file of chunk checksums is damaged");
  const uint64_t size = get(bytes, kMagic.size()), chunk = get(bytes, kMagic.size() + 8);
  if (chunk != kChunk) fail(ErrorKind::kInvalidInput, "chunks of {} bytes are not known", chunk);
  if (size > uint64_t{1} << 60 ||
      static_cast<uint64_t>(count(static_cast<int64_t>(size))) !=
          (content.size() - kHead) / kSumBytes ||
      (content.size() - kHead) % kSumBytes != 0)
    fail(ErrorKind::kInvalidInput, "{} bytes of chunk checksums do not fit a blob of {} bytes",
         content.size() - kHead, size);
  ChunkSums out = {.size = static_cast<int64_t>(size), .sums = {}};
  for (size_t at = kHead; at < content.size(); at += kSumBytes)
    out.sums.push_back({.low = get(content, at), .high = get(content, at + 8)});
  return out;
}

std::optional<ChunkSums> ChunkSums::read(const fs::path& path, int64_t blob_size) {
  std::error_code code;
  if (!fs::is_regular_file(path, code)) return std::nullopt;
  try {
    ChunkSums sums = parse(read_text_file(path, kMaxFile));
    if (sums.size == blob_size) return sums;
  } catch (const Error& e) {
    log::warn("{}: {}", path.string(), e.what());
  }
  return std::nullopt;
}

std::string ChunkSums::bytes() const {
  CRIA_CHECK(static_cast<int64_t>(sums.size()) == count(size), "one checksum per chunk");
  std::string out(kMagic);
  put(out, static_cast<uint64_t>(size));
  put(out, static_cast<uint64_t>(kChunk));
  for (const ChunkSum& sum : sums) {
    put(out, sum.low);
    put(out, sum.high);
  }
  put(out, own_sum(out));
  return out;
}

void ChunkSums::write(const fs::path& path) const {
  std::error_code code;
  fs::create_directories(path.parent_path(), code);
  if (code)
    fail(ErrorKind::kInternal, "cannot make {}: {}", path.parent_path().string(), code.message());
  write_file_atomically(path, bytes());
}

}  // namespace cria::store
