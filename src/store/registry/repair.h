// repair.h - a damaged blob fetched again from where it came.
#pragma once

#include "store/registry/transfer.h"
#include "store/verify.h"

namespace cria::store {

// Asks the registries of the models that need the blob, and of the one that its layer came from,
// for these very bytes. No manifest changes: what a registry has under a model's name by now does
// not matter. The damaged file stays until the whole blob is here. Throws the last registry's
// Error.
void fetch_again(Store& store, Downloads& downloads, const CheckedBlob& blob,
                 const TransferOptions& options, const OnStatus& on_status);

}  // namespace cria::store
