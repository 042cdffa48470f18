#include "store/store.h"

#include "base/disk.h"
#include "base/error.h"
#include "base/log.h"
#include "base/models_folder.h"
#include "store/folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace cria::store {
namespace {

constexpr int64_t kMaxManifest = 16 << 20;

void make_folders(const fs::path& path) {
  std::error_code code;
  fs::create_directories(path, code);
  if (code)
    fail(ErrorKind::kInternal,
         "cannot make the folder {}: {}: ensure path elements are traversable", path.string(),
         code.message());
}

std::chrono::system_clock::time_point modified_time(const fs::path& path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) return {};
  return std::chrono::system_clock::time_point(
      std::chrono::seconds(info.st_mtim.tv_sec) +
      std::chrono::duration_cast<std::chrono::microseconds>(
          std::chrono::nanoseconds(info.st_mtim.tv_nsec)));
}

}  // namespace

fs::path Store::default_folder() {
  return models_folder();
}

Store::Store(fs::path folder) : folder_(std::move(folder)) {
  make_folders(folder_ / "blobs");
  make_folders(folder_ / "manifests");
  // Old versions of Ollama wrote "sha256:<hex>".
  for (const fs::path& path : entries(folder_ / "blobs")) {
    if (path.filename().string().find(':') == std::string::npos) continue;
    const auto digest = Digest::parse(path.filename().string());
    if (digest && !has_blob(*digest)) disk::rename(path.c_str(), blob_path(*digest).c_str());
  }
}

// The one place where names become paths: their parts hold no separator and begin with no dot.
fs::path Store::manifest_path(const ModelName& name) const {
  return folder_ / "manifests" / name.host() / name.space() / name.model() / name.tag();
}

std::vector<Digest> Store::blobs() const {
  std::vector<Digest> found;
  for (const fs::path& path : entries(folder_ / "blobs"))
    if (const auto digest = Digest::parse(path.filename().string()); digest && has_blob(*digest))
      found.push_back(*digest);
  return found;
}

fs::path Store::blob_path(const Digest& digest) const {
  return folder_ / "blobs" / digest.file_name();
}

std::vector<std::pair<ModelName, fs::path>> Store::manifest_files() const {
  std::vector<std::pair<ModelName, fs::path>> found;
  for (const fs::path& host : entries(folder_ / "manifests"))
    for (const fs::path& space : entries(host))
      for (const fs::path& model : entries(space))
        for (const fs::path& tag : entries(model)) {
          const auto name = ModelName::parse(
              fmt::format("{}/{}/{}:{}", host.filename().string(), space.filename().string(),
                          model.filename().string(), tag.filename().string()));
          std::error_code code;
          if (name && fs::is_regular_file(tag, code)) found.emplace_back(*name, tag);
        }
  return found;
}

std::optional<StoredModel> Store::read(const fs::path& path, const ModelName& name) const {
  std::error_code code;
  if (!fs::is_regular_file(path, code)) return std::nullopt;
  return in_context(name.short_text(), [&] {
    const std::string text = read_text_file(path, kMaxManifest);
    Sha256 hash;
    hash.update(std::as_bytes(std::span(text)));
    return std::optional(StoredModel{.name = name,
                                     .manifest = Manifest::parse(text),
                                     .digest = hash.hex(),
                                     .modified = modified_time(path)});
  });
}

Inventory Store::inventory() const {
  Inventory found;
  for (const auto& [name, path] : manifest_files()) {
    try {
      if (auto model = read(path, name)) found.models.push_back(*std::move(model));
    } catch (const Error& e) {
      found.broken.push_back({.name = name, .why = e.what()});
    }
  }
  const auto seconds = [](const StoredModel& m) {
    return std::chrono::floor<std::chrono::seconds>(m.modified);
  };
  std::ranges::sort(found.models, [&](const StoredModel& a, const StoredModel& b) {
    if (seconds(a) != seconds(b)) return seconds(a) > seconds(b);
    return a.name.full() < b.name.full();  // models made at once keep one order
  });
  return found;
}

std::vector<StoredModel> Store::list() const {
  Inventory found = inventory();
  for (const BrokenManifest& broken : found.broken)
    log::warn("skipping a broken manifest: {}", broken.why);
  return std::move(found.models);
}

// The longest leading part of the name that is stored in another letter case takes that spelling,
// so that "LLAMA3:new" joins "llama3:latest" instead of standing beside it.
ModelName Store::spelled_as_stored(ModelName name) const {
  std::error_code code;
  if (fs::exists(manifest_path(name), code)) return name;
  const auto stored = manifest_files();
  const auto closest = std::ranges::max_element(
      stored, {}, [&](const auto& entry) { return name.same_parts(entry.first); });
  if (closest != stored.end()) name.adopt_spelling(closest->first, name.same_parts(closest->first));
  return name;
}

std::optional<StoredModel> Store::find(const ModelName& name) const {
  const ModelName stored = spelled_as_stored(name);
  return read(manifest_path(stored), stored);
}

std::optional<ManifestStamp> Store::stamp(const ModelName& name) const {
  constexpr std::chrono::seconds kCoarsestClock{2};  // of the file systems in use
  struct stat info = {};
  if (::stat(manifest_path(name).c_str(), &info) != 0 || !S_ISREG(info.st_mode))
    return std::nullopt;
  const auto ns = [](const timespec& time) {
    return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  };
  const int64_t now = std::chrono::duration_cast<std::chrono::nanoseconds>(
                          std::chrono::system_clock::now().time_since_epoch())
                          .count();
  if (ns(info.st_ctim) > now - std::chrono::nanoseconds(kCoarsestClock).count())
    return std::nullopt;
  return ManifestStamp{.device = info.st_dev,
                       .inode = info.st_ino,
                       .size = info.st_size,
                       .modified_ns = ns(info.st_mtim),
                       .changed_ns = ns(info.st_ctim)};
}

StoredModel Store::require(const ModelName& name) const {
  auto model = find(name);
  if (!model) fail(ErrorKind::kNotFound, "model '{}' not found", name.short_text());
  return *std::move(model);
}

fs::path Store::chunk_sums_path(const Digest& digest) const {
  return folder_ / "cria/chunks" / digest.hex();
}

fs::path Store::prompt_file_path(const Digest& digest) const {
  return folder_ / "cria/prompts" / digest.hex();
}

void Store::remove_companions(const Digest& digest) const {
  ::unlink(chunk_sums_path(digest).c_str());
  ::unlink(prompt_file_path(digest).c_str());
}

bool Store::has_layer(const Layer& layer) const {
  std::error_code code;
  const fs::path path = blob_path(layer.digest);
  return fs::is_regular_file(path, code) &&
         fs::file_size(path, code) == static_cast<uintmax_t>(layer.size) && !code;
}

void Store::remove_blob(const Digest& digest) const {
  ::unlink(blob_path(digest).c_str());
  remove_companions(digest);
}

void Store::check_blobs(const Manifest& manifest) const {
  const auto check = [&](const Layer& layer) {
    if (!has_layer(layer))
      fail(ErrorKind::kConflict, "blob {} of {} bytes is not in the store any more; try again",
           layer.digest.text(), layer.size);
  };
  check(manifest.config);
  for (const Layer& layer : manifest.layers) check(layer);
}

void Store::write_manifest(const ModelName& name, const Manifest& manifest) {
  write_manifest_bytes(name, manifest.text());
}

void Store::write_manifest_bytes(const ModelName& name, std::string_view bytes) {
  const ChangeLock lock(folder_);
  check_blobs(Manifest::parse(bytes));
  const fs::path path = manifest_path(spelled_as_stored(name));
  make_folders(path.parent_path());
  write_file_atomically(path, bytes);
}

void Store::copy(const ModelName& from, const ModelName& to) {
  const ChangeLock lock(folder_);
  const fs::path source = manifest_path(spelled_as_stored(from));
  const fs::path target = manifest_path(spelled_as_stored(to));
  std::error_code code;
  if (!fs::is_regular_file(source, code))
    fail(ErrorKind::kNotFound, "model \"{}\" not found", from.short_text());
  if (source == target) return;
  make_folders(target.parent_path());
  write_file_atomically(target, read_text_file(source, kMaxManifest));
}

std::set<Digest> Store::digests_in_use(std::vector<BrokenManifest>& broken) const {
  Inventory found = inventory();
  std::set<Digest> used;
  for (const StoredModel& model : found.models) {
    used.insert(model.manifest.config.digest);
    for (const Layer& layer : model.manifest.layers) used.insert(layer.digest);
  }
  broken = std::move(found.broken);
  for (const BrokenManifest& one : broken) log::warn("{}", one.why);
  return used;
}

void Store::remove_unused(const std::vector<Layer>& candidates) {
  const ChangeLock lock(folder_);
  remove_unused_locked(candidates);
}

void Store::remove_unused_locked(const std::vector<Layer>& candidates) const {
  std::vector<BrokenManifest> broken;
  const std::set<Digest> used = digests_in_use(broken);
  if (!broken.empty())
    return;  // a broken manifest may name any blob: prune decides once it is mended
  for (const Layer& layer : candidates)
    if (!used.contains(layer.digest)) remove_blob(layer.digest);
}

void Store::remove_empty_folders(fs::path folder) const {
  for (; folder != folder_ / "manifests"; folder = folder.parent_path())
    if (::rmdir(folder.c_str()) != 0) return;
}

void Store::remove(const ModelName& name) {
  const ChangeLock lock(folder_);
  const ModelName stored = spelled_as_stored(name);
  const fs::path path = manifest_path(stored);
  std::optional<StoredModel> model;
  try {
    model = require(stored);
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::kNotFound) throw;
    log::warn("removing a broken manifest: {}", e.what());  // its blobs are left to prune
  }
  if (::unlink(path.c_str()) != 0) fail_write(path, errno);
  sync_folder(path.parent_path());
  remove_empty_folders(path.parent_path());
  if (model) remove_unused_locked(model->manifest.blobs());
}

void Store::keep_chunk_sums(const Digest& digest, const ChunkSums& sums) const {
  if (sums.size <= ChunkSums::kChunk) return;  // to be fetched whole
  try {
    sums.write(chunk_sums_path(digest));
  } catch (const Error& e) {
    log::warn("no checksums of {}'s chunks are kept: {}", digest.text(), e.what());
  }
}

bool Store::has_blob(const Digest& digest) const {
  std::error_code code;
  return fs::is_regular_file(blob_path(digest), code);
}

std::shared_ptr<const File> Store::open_blob(const Layer& layer) const {
  if (!has_blob(layer.digest))
    fail(ErrorKind::kNotFound, "blob {} is missing from the store; create or pull the model again",
         layer.digest.text());
  auto file = File::open(blob_path(layer.digest));
  if (file->size() != layer.size)
    fail(ErrorKind::kInvalidInput,
         "blob {} is damaged: it has {} bytes instead of {}; create or pull the model again",
         layer.digest.text(), file->size(), layer.size);
  return file;
}

std::string Store::read_blob_text(const Layer& layer, int64_t max_bytes) const {
  const auto file = open_blob(layer);
  if (file->size() > max_bytes)
    fail(ErrorKind::kTooLarge, "layer {} of {} bytes is over the limit of {}", layer.digest.text(),
         file->size(), max_bytes);
  std::string text(static_cast<size_t>(file->size()), '\0');
  file->read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

void Store::keep_young(const Digest& digest) const {
  ::utimensat(AT_FDCWD, blob_path(digest).c_str(), nullptr, 0);
}

std::string Store::manifest_text(const ModelName& name) const {
  return read_text_file(manifest_path(spelled_as_stored(name)), kMaxManifest);
}

Layer Store::layer_of(const Digest& digest, std::string_view kind) const {
  if (!has_blob(digest)) fail(ErrorKind::kNotFound, "blob \"{}\" not found", digest.text());
  const fs::path path = blob_path(digest);
  keep_young(digest);
  const bool config = kind == "config";
  return {.media_type =
              config ? std::string(kConfigType) : std::string(kLayerPrefix) + std::string(kind),
          .digest = digest,
          .size = File::open(path)->size(),
          .from = {},
          .name = {}};
}

Layer Store::write_blob(std::string_view content, std::string_view kind, bool* created) {
  Sha256 hash;
  hash.update(std::as_bytes(std::span(content)));
  const Digest digest = Digest::from_hex(hash.hex());
  const bool fresh = !has_blob(digest);
  if (fresh) {
    Upload upload(*this);
    upload.write(std::as_bytes(std::span(content)));
    upload.finish(digest);
  }
  if (created != nullptr) *created = fresh;
  return layer_of(digest, kind);
}

}  // namespace cria::store
