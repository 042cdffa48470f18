#include "store/verify.h"

#include "base/error.h"
#include "base/log.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>

namespace cria::store {

std::vector<CheckedBlob> blobs_of(const std::vector<StoredModel>& models) {
  std::vector<CheckedBlob> blobs;
  std::map<Digest, size_t> known;
  const auto add = [&](const Layer& layer, const ModelName& model) {
    const auto [at, is_new] = known.emplace(layer.digest, blobs.size());
    if (is_new) blobs.push_back({.layer = layer, .models = {}});
    std::vector<ModelName>& users = blobs[at->second].models;
    if (users.empty() || users.back().full() != model.full()) users.push_back(model);
  };
  for (const StoredModel& model : models) {
    add(model.manifest.config, model.name);
    for (const Layer& layer : model.manifest.layers) add(layer, model.name);
  }
  return blobs;
}

std::string damage_of(const Store& store, const Layer& layer, const std::stop_token& stop,
                      const std::function<void(int64_t done)>& on_progress) {
  if (!store.has_blob(layer.digest)) return "it is missing";
  try {
    const auto file = File::open(store.blob_path(layer.digest));
    if (file->size() != layer.size)
      return fmt::format("it has {} bytes instead of {}", file->size(), layer.size);
    std::vector<std::byte> buffer(size_t{1} << 20);
    BlobHash hash;
    for (int64_t at = 0; at < file->size();) {
      if (stop.stop_requested()) fail(ErrorKind::kCancelled, "request canceled");
      const auto part = std::span(buffer).first(
          static_cast<size_t>(std::min<int64_t>(std::ssize(buffer), file->size() - at)));
      file->read_at(at, part);
      hash.update(part);
      at += std::ssize(part);
      on_progress(at);
    }
    const HashedBlob hashed = hash.finish();
    if (hashed.digest != layer.digest) return "its content has another digest";
    if (!fs::exists(store.chunk_sums_path(layer.digest)))  // a blob of another program's
      store.keep_chunk_sums(layer.digest, hashed.sums);
  } catch (const Error& e) {  // a disk that fails is damage, too
    if (e.kind() == ErrorKind::kCancelled) throw;
    return e.what();
  }
  return {};
}

SetAside::SetAside(const Store& store, const Digest& digest)
    : place_(store.blob_path(digest)), aside_(place_.string() + "-damaged") {
  if (::rename(place_.c_str(), aside_.c_str()) != 0 && errno != ENOENT)
    fail(ErrorKind::kInternal, "cannot move {}: {}", place_.string(), std::strerror(errno));
}

SetAside::~SetAside() {
  // link fails where the new blob stands: then the old one may go.
  if (::link(aside_.c_str(), place_.c_str()) != 0 && errno != EEXIST && errno != ENOENT) {
    log::warn("cannot put {} back: {}", aside_.string(), std::strerror(errno));
    return;
  }
  ::unlink(aside_.c_str());
}

}  // namespace cria::store
