// hub.h - models on a host that serves repositories of files instead of manifests: Hugging Face's
// API.
//
// GET /api/models/<user>/<repository>/tree/main lists the files with sizes and SHA-256 (of those in
// LFS); /<user>/<repository>/resolve/main/<path> has their bytes. Such hosts write manifests for
// models of one file only, so a model in parts is found here.
#pragma once

#include "store/registry/downloads.h"

#include <string>
#include <vector>

namespace cria::store {

struct HubFile {
  std::string name;  // without its folder
  BlobSource source;
};

// What makes the model: one file or all its parts in order, then its projector, if there is one.
// The tag is a quantisation ("Q4_K_M", letter case aside), a file's name, or "latest". Empty when
// the host knows nothing of such repositories. Throws Error{kNotFound} naming what there is when
// nothing fits the tag, {kInvalidInput} for a list that is no such list.
std::vector<HubFile> find_hub_files(Registry& registry, const ModelName& name,
                                    const TransferOptions& options);

}  // namespace cria::store
