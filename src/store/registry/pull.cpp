// pull.cpp - a model from a registry (spec store-and-registry.md 6 and 8).
#include "base/error.h"
#include "base/log.h"
#include "store/registry/remote_manifest.h"
#include "store/registry/transfer.h"

#include <algorithm>
#include <set>

namespace cria::store {
namespace {

std::string short_digest(const Digest& digest) {
  return digest.hex().substr(0, 12);
}

std::optional<Manifest> old_manifest(const Store& store, const ModelName& name) {
  try {
    if (auto model = store.find(name)) return std::move(model->manifest);
  } catch (const Error& e) {
    log::warn("the old manifest is broken and will be replaced: {}", e.what());
  }
  return std::nullopt;
}

// Every blob once, however many layers name it; layers in order, the config last.
std::vector<Layer> blobs_of(const Manifest& manifest) {
  std::vector<Layer> blobs;
  std::set<Digest> seen;
  const auto add = [&](const Layer& layer) {
    if (layer.size > kMaxBlob)
      fail(ErrorKind::kTooLarge,
           "the manifest gives layer {} a size of {} bytes, which is no model's",
           layer.digest.text(), layer.size);
    if (seen.insert(layer.digest).second) {
      blobs.push_back(layer);
      return;
    }
    const auto same = std::ranges::find(blobs, layer.digest, &Layer::digest);
    if (same->size != layer.size)
      fail(ErrorKind::kInvalidInput, "the manifest gives {} two sizes", layer.digest.text());
  };
  for (const Layer& layer : manifest.layers) add(layer);
  add(manifest.config);
  return blobs;
}

bool is_tensor_model(const Manifest& manifest) {
  return std::ranges::any_of(manifest.layers,
                             [](const Layer& layer) { return layer.kind() == "tensor"; });
}

}  // namespace

void pull(Store& store, Downloads& downloads, const ModelName& name, const TransferOptions& options,
          bool prune, const OnStatus& on_status, const Otherwise& otherwise) {
  on_status({.status = "pulling manifest"});
  Registry registry(name, registry_options(options));
  std::string text;
  try {
    text = fetch_manifest(registry, name, options);
  } catch (const Error& e) {
    const bool refused = e.kind() == ErrorKind::kNotFound || e.kind() == ErrorKind::kUpstream;
    if (!refused || !otherwise || !otherwise(registry)) throw;
    return;
  }
  const Manifest manifest =
      in_context("pull model manifest", [&] { return Manifest::parse(text); });
  const auto old = old_manifest(store, name);
  const bool tensors = is_tensor_model(manifest);
  const std::vector<Layer> blobs = blobs_of(manifest);
  int64_t total = 0, before = 0;
  for (const Layer& layer : blobs) total += layer.size;
  for (const Layer& layer : blobs) {
    // Thousands of small blobs share one line.
    const auto report = [&](int64_t completed) {
      if (layer.size == 0) return;  // clients divide by the total
      if (tensors)
        on_status({.status = "pulling model",
                   .digest = "sha256:model",
                   .total = total,
                   .completed = before + completed});
      else
        on_status(pulling(layer.digest, layer.size, completed));
    };
    if (store.has_layer(layer)) {
      store.keep_young(layer.digest);
      report(layer.size);
    } else {
      // Its absence must not look like the model's.
      in_context("layer " + short_digest(layer.digest), [&] {
        downloads.fetch({.name = name,
                         .url = registry.url(name, "blobs/" + layer.digest.text()),
                         .digest = layer.digest,
                         .size = layer.size},
                        options, report);
      });
    }
    before += layer.size;
  }
  on_status({.status = "verifying sha256 digest"});  // done while they came
  on_status({.status = "writing manifest"});
  store.write_manifest_bytes(name, text);
  if (old && prune) {
    const auto gone = [&](const Layer& layer) {
      return std::ranges::find(blobs, layer.digest, &Layer::digest) == blobs.end();
    };
    if (gone(old->config) || std::ranges::any_of(old->layers, gone))
      on_status({.status = "removing unused layers"});
    store.remove_unused(old->blobs());
  }
  on_status({.status = "success"});
}

}  // namespace cria::store
