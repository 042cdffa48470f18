#include "store/registry/repair.h"

#include "base/error.h"
#include "base/log.h"
#include "store/registry/remote_manifest.h"

namespace cria::store {

void fetch_again(Store& store, Downloads& downloads, const CheckedBlob& blob,
                 const TransferOptions& options, const OnStatus& on_status) {
  const Digest& digest = blob.layer.digest;
  std::vector<ModelName> sources = blob.models;
  if (const auto from = ModelName::parse(blob.layer.from)) sources.push_back(*from);
  const SetAside aside(store, digest);
  const auto report = [&](int64_t completed) {
    on_status({.status = "pulling " + digest.hex().substr(0, 12),
               .digest = digest.text(),
               .total = blob.layer.size,
               .completed = completed});
  };
  for (size_t i = 0; i < sources.size(); ++i) {
    try {
      const Registry registry(sources[i], registry_options(options));
      return downloads.fetch({.name = sources[i],
                              .url = registry.url(sources[i], "blobs/" + digest.text()),
                              .digest = digest,
                              .size = blob.layer.size},
                             options, report);
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::kCancelled || i + 1 == sources.size()) throw;
      log::info("{} does not have {}: {}", sources[i].short_text(), digest.text(), e.what());
    }
  }
}

}  // namespace cria::store
