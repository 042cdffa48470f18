// store.h - the model store on disk, in Ollama's layout: either program reads what the other wrote.
//
//   blobs/sha256-<hex>                               content-addressed, hashed as it arrives
//   manifests/<host>/<namespace>/<model>/<tag>       which blobs make a model
//
// Every write is a temporary file, fsync, rename: after a crash the old or the new state stands.
// Safe from several threads and processes: what changes a manifest or removes a blob holds one
// lock, and a temporary blob is locked as long as somebody writes it.
#pragma once

#include "base/file.h"
#include "store/chunk_sums.h"
#include "store/manifest.h"

#include <chrono>
#include <optional>
#include <set>
#include <vector>

namespace cria::store {

struct StoredModel {
  ModelName name;
  Manifest manifest;
  std::string digest;  // hex SHA-256 of the manifest file
  std::chrono::system_clock::time_point modified;
};

// A manifest that cannot be read: its model cannot be used, and what it names is unknown.
struct BrokenManifest {
  ModelName name;
  std::string why;
};

// Tells one state of a manifest's file from the next without reading it.
struct ManifestStamp {
  uint64_t device = 0, inode = 0;
  int64_t size = 0, modified_ns = 0, changed_ns = 0;
  bool operator==(const ManifestStamp&) const = default;
};

struct Inventory {
  std::vector<StoredModel> models;  // newest first
  std::vector<BrokenManifest> broken;
};

struct PruneOptions {
  std::chrono::seconds grace = std::chrono::hours(1);  // younger files stay
  bool dry_run = false;                                // only say what would go
};

struct PruneReport {
  struct Removed {
    std::string file;   // name in its folder
    int64_t bytes = 0;  // on the disk: a sparse file counts what it occupies
  };
  std::vector<Removed> removed;  // with dry_run: what would be
  int64_t young = 0;             // unused files that stay because they are younger than the grace
  int64_t held = 0;              // unused files that stay because somebody writes them
  std::string skipped;           // why no blob was looked at; empty otherwise

  int64_t bytes() const;
};

class Store {
 public:
  // OLLAMA_MODELS, or ~/.ollama/models.
  static fs::path default_folder();
  explicit Store(fs::path folder);  // makes the folders

  Inventory inventory() const;
  // All models whose manifest can be read, newest first; broken ones are logged and skipped.
  std::vector<StoredModel> list() const;
  // nullopt when there is none of that name; throws Error{kInvalidInput} when its manifest is
  // broken.
  std::optional<StoredModel> find(const ModelName& name) const;
  // Of the manifest in exactly this spelling; nullopt without one, and for one that was written so
  // lately that the next state could have the same times.
  std::optional<ManifestStamp> stamp(const ModelName& name) const;
  // As find, but throws Error{kNotFound} "model '<short name>' not found".
  StoredModel require(const ModelName& name) const;

  // Throws Error{kConflict}, and writes nothing, when a blob that it names is not here in that
  // size: another process may have removed one since the layer was made.
  void write_manifest(const ModelName& name, const Manifest& manifest);
  // As write_manifest, of a manifest that came from elsewhere: its very bytes are kept, and with
  // them its digest.
  void write_manifest_bytes(const ModelName& name, std::string_view bytes);
  void copy(const ModelName& from, const ModelName& to);  // Error{kNotFound} without `from`
  // Removes the manifest, empty folders, and the blobs that no other manifest names.
  void remove(const ModelName& name);
  // Removes those blobs of `candidates` that no manifest names (after a model was replaced).
  void remove_unused(const std::vector<Layer>& candidates);
  // Removes temporary files that nobody writes any more, files and unused blobs older than the
  // grace, and empty folders. Touches no blob when any manifest is broken.
  PruneReport prune(const PruneOptions& options = {});

  // The bytes of its manifest. Error{kNotFound}.
  std::string manifest_text(const ModelName& name) const;

  bool has_blob(const Digest& digest) const;
  std::vector<Digest> blobs() const;  // all that are here, in ascending order
  fs::path blob_path(const Digest& digest) const;
  // Where the checksums of the blob's chunks are kept (chunk_sums.h).
  fs::path chunk_sums_path(const Digest& digest) const;
  // Where a runner of the blob keeps prompts (engine/prompt_store.h), when it is asked to.
  fs::path prompt_file_path(const Digest& digest) const;
  // For the day when the blob is damaged. Small blobs have none; a failure is only logged.
  void keep_chunk_sums(const Digest& digest, const ChunkSums& sums) const;
  // Whether the blob is here in the layer's size.
  bool has_layer(const Layer& layer) const;
  // A layer's file, of the size that its manifest says; throws Error naming the digest otherwise.
  std::shared_ptr<const File> open_blob(const Layer& layer) const;
  std::string read_blob_text(const Layer& layer, int64_t max_bytes = 16 << 20) const;
  // Stores small content as a layer of `kind` ("template", "params", ...; "config" for the config).
  Layer write_blob(std::string_view content, std::string_view kind, bool* created = nullptr);
  void keep_young(const Digest& digest) const;  // prune leaves it alone for an hour
  // The layer of a blob that is already here. Error{kNotFound} otherwise.
  Layer layer_of(const Digest& digest, std::string_view kind) const;

  // A blob that arrives in pieces. Nothing stands under its digest before finish().
  class Upload {
   public:
    explicit Upload(const Store& store);
    ~Upload();  // removes the temporary file unless finished
    Upload(const Upload&) = delete;
    Upload& operator=(const Upload&) = delete;
    void write(std::span<const std::byte> bytes);  // Error{kOutOfMemory} on a full disk
    // Instead of write: another process puts the content into the file at path(), then take_written
    // reads it, since nothing is known of it but what is on the disk.
    const fs::path& path() const { return path_; }
    void take_written();
    // Throws Error{kInvalidInput} `digest mismatch, expected "...", got "..."` and keeps nothing.
    Digest finish(const std::optional<Digest>& expected = std::nullopt);
    int64_t size() const { return size_; }

   private:
    const Store& store_;
    fs::path path_;
    int descriptor_ = -1;
    int64_t size_ = 0;
    BlobHash hash_;
  };

 private:
  fs::path manifest_path(const ModelName& name) const;
  std::optional<StoredModel> read(const fs::path& path, const ModelName& name) const;
  std::vector<std::pair<ModelName, fs::path>> manifest_files() const;
  ModelName spelled_as_stored(ModelName name) const;
  std::set<Digest> digests_in_use(std::vector<BrokenManifest>& broken) const;
  void remove_unused_locked(const std::vector<Layer>& candidates) const;
  void remove_empty_folders(fs::path folder) const;
  void prune_manifest_folders(const PruneOptions& options, PruneReport& report) const;
  void prune_blobs(const PruneOptions& options, PruneReport& report) const;
  void check_blobs(const Manifest& manifest) const;
  void remove_blob(const Digest& digest) const;
  void remove_companions(const Digest& digest) const;  // what we keep beside a blob

  fs::path folder_;
};

}  // namespace cria::store
