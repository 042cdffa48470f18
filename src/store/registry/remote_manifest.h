// remote_manifest.h - a model's manifest as its registry has it.
#pragma once

#include "store/registry/downloads.h"

#include <string>

namespace cria::store {

// Twice as long from attempt to attempt; ends early when `stop` is requested.
void pause_before_retry(int attempt, const std::stop_token& stop);

RegistryOptions registry_options(const TransferOptions& options);

// The bytes, unchecked. Tried again while the registry is busy. Throws Error "pull model manifest:
// file does not exist" and others.
std::string fetch_manifest(Registry& registry, const ModelName& name,
                           const TransferOptions& options);

}  // namespace cria::store
