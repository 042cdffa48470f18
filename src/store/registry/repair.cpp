#include "store/registry/repair.h"

#include "base/error.h"
#include "base/log.h"
#include "store/registry/remote_manifest.h"

#include <algorithm>
#include <cstring>

namespace cria::store {

namespace {

constexpr int kTries = 4;

// The chunks of a damaged file, each from there or, where its checksum does not fit, from the
// registry.
class Patch {
 public:
  Patch(Registry& registry, const BlobSource& source, const TransferOptions& options)
      : registry_(registry), source_(source), options_(options) {}

  // False when there are no checksums to go by, or wrong ones. Throws as fetch_range does.
  bool run(Store& store, const fs::path& damaged, const std::function<void(int64_t)>& report) {
    const auto sums = ChunkSums::read(store.chunk_sums_path(source_.digest), source_.size);
    std::error_code none;
    if (!sums || !fs::is_regular_file(damaged, none)) return false;
    const auto file = File::open(damaged);
    Store::Upload whole(store);
    int64_t fetched = 0;
    for (size_t i = 0; i < sums->sums.size(); ++i) {
      if (options_.stop.stop_requested()) fail(ErrorKind::kCancelled, "the repair was cancelled");
      const int64_t offset = static_cast<int64_t>(i) * ChunkSums::kChunk;
      chunk_.resize(static_cast<size_t>(std::min(ChunkSums::kChunk, source_.size - offset)));
      if (!read_whole(*file, offset, sums->sums[i])) {
        fetch(offset);
        ++fetched;
      }
      whole.write(chunk_);
      report(offset + std::ssize(chunk_));
    }
    try {
      whole.finish(source_.digest);
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::kInvalidInput) return false;  // the checksums were wrong
      throw;
    }
    log::info("{}: fetched {} of {} chunks", source_.digest.text(), fetched, sums->sums.size());
    return true;
  }

 private:
  bool read_whole(const File& file, int64_t offset, const ChunkSum& sum) {
    if (offset + std::ssize(chunk_) > file.size()) return false;
    try {
      file.read_at(offset, chunk_);
    } catch (const Error&) {  // a sector of the disk that cannot be read
      return false;
    }
    ChunkHash hash;
    hash.update(chunk_);
    return hash.finish() == sum;
  }

  void fetch(int64_t offset) {
    for (int attempt = 0;; ++attempt) {
      size_t at = 0;
      try {
        fetch_range(
            registry_, source_, {.offset = offset, .length = std::ssize(chunk_)},
            [&](std::string_view bytes) {
              std::memcpy(chunk_.data() + at, bytes.data(), bytes.size());
              at += bytes.size();
            },
            options_.stop);
        return;
      } catch (const Error& e) {
        if (e.kind() != ErrorKind::kUpstream || attempt + 1 >= kTries) throw;
      }
      pause_before_retry(attempt, options_.stop);
    }
  }

  Registry& registry_;
  const BlobSource& source_;
  const TransferOptions& options_;
  std::vector<std::byte> chunk_;
};

}  // namespace

void fetch_again(Store& store, Downloads& downloads, const CheckedBlob& blob,
                 const TransferOptions& options, const OnStatus& on_status) {
  const Digest& digest = blob.layer.digest;
  std::vector<ModelName> sources = blob.models;
  if (const auto from = ModelName::parse(blob.layer.from)) sources.push_back(*from);
  const SetAside aside(store, digest);
  int64_t told = 0;  // what begins anew elsewhere does not take progress back
  const auto report = [&](int64_t completed) {
    told = std::max(told, completed);
    on_status(pulling(digest, blob.layer.size, told));
  };
  for (size_t i = 0; i < sources.size(); ++i) {
    try {
      Registry registry(sources[i], registry_options(options));
      const BlobSource source{.name = sources[i],
                              .url = registry.url(sources[i], "blobs/" + digest.text()),
                              .digest = digest,
                              .size = blob.layer.size};
      if (!Patch(registry, source, options).run(store, aside.path(), report))
        downloads.fetch(source, options, report);
      return;
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::kCancelled || i + 1 == sources.size()) throw;
      log::info("{} does not have {}: {}", sources[i].short_text(), digest.text(), e.what());
    }
  }
}

}  // namespace cria::store
