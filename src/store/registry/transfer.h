// transfer.h - whole models between this store and a registry.
#pragma once

#include "store/registry/downloads.h"

#include <functional>
#include <string>

namespace cria::store {

// As the API reports it: `digest` empty for a mere status.
struct TransferStatus {
  std::string status;
  std::string digest;
  int64_t total = 0, completed = 0;
};
// Of one blob on its way here.
inline TransferStatus pulling(const Digest& digest, int64_t total, int64_t completed) {
  return {.status = "pulling " + digest.hex().substr(0, 12),
          .digest = digest.text(),
          .total = total,
          .completed = completed};
}
using OnStatus = std::function<void(const TransferStatus&)>;

// Brings a model in another way from a host that has no manifest for it; false when there is none.
using Otherwise = std::function<bool(Registry& registry)>;

// Makes the model of that name the registry's: its manifest, byte for byte, and what is missing of
// its blobs. `prune`: blobs that only the replaced manifest named go. Throws Error "pull model
// manifest: file does not exist" and others; the store then is as it was, but for parts of blobs.
void pull(Store& store, Downloads& downloads, const ModelName& name, const TransferOptions& options,
          bool prune, const OnStatus& on_status, const Otherwise& otherwise = {});

// Brings a stored model to its registry: what is missing there of its blobs, then the manifest's
// bytes. A blob that came from another model of the same registry is mounted from there.
void push(const Store& store, const ModelName& name, const TransferOptions& options,
          const OnStatus& on_status);

}  // namespace cria::store
