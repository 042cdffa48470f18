// verify.h - whether the files of the store are what their names say.
#pragma once

#include "store/store.h"

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

namespace cria::store {

struct CheckedBlob {
  Layer layer;
  std::vector<ModelName> models;  // that need it
};

// The blobs of these models, each once, in the order of their first use.
std::vector<CheckedBlob> blobs_of(const std::vector<StoredModel>& models);

// Reads the whole blob and compares size and SHA-256 with what the manifest says: what is wrong, or
// empty. `on_progress` gets the bytes read so far. Throws Error{kCancelled} with `stop`.
std::string damage_of(const Store& store, const Layer& layer, const std::stop_token& stop,
                      const std::function<void(int64_t done)>& on_progress);

// A blob that is being replaced: out of the way, and back in its place when nothing took it.
class SetAside {
 public:
  SetAside(const Store& store, const Digest& digest);
  ~SetAside();
  SetAside(const SetAside&) = delete;
  SetAside& operator=(const SetAside&) = delete;
  const fs::path& path() const { return aside_; }  // of the old file, if there was one

 private:
  const fs::path place_, aside_;
};

}  // namespace cria::store
