#include "store/registry/remote_manifest.h"

#include "base/error.h"
#include "base/log.h"
#include "base/settings.h"

#include <condition_variable>

namespace cria::store {
namespace {

constexpr int kTries = 4;
constexpr std::chrono::seconds kMaxTime{30};

}  // namespace

RegistryOptions registry_options(const TransferOptions& options) {
  return {.insecure = options.insecure, .stall_timeout = setting_duration("CRIA_STALL_TIMEOUT")};
}

void pause_before_retry(int attempt, const std::stop_token& stop) {
  const auto delay = setting_duration("CRIA_RETRY_DELAY") * (1 << attempt);
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any never;
  never.wait_for(lock, stop, delay, [] { return false; });
}

std::string fetch_manifest(Registry& registry, const ModelName& name,
                           const TransferOptions& options) {
  return in_context("pull model manifest", [&] {
    for (int attempt = 0;; ++attempt) {
      const http::ClientResponse response =
          registry.follow({.url = registry.url(name, "manifests/" + name.tag()),
                           .headers = {{"Accept", std::string(kManifestType)}},
                           .stop = options.stop,
                           .total_timeout = kMaxTime});
      const bool busy = response.status >= 500 || response.status == 429;
      if (!busy || attempt + 1 >= kTries) {
        require_ok(response);
        return response.body;
      }
      log::debug("manifest of {}: {}, asked again", name.short_text(), response.status);
      pause_before_retry(attempt, options.stop);
    }
  });
}

}  // namespace cria::store
