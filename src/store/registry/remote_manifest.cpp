#include "store/registry/remote_manifest.h"

#include "base/error.h"
#include "base/log.h"
#include "base/settings.h"

#include <condition_variable>

namespace cria::store {
namespace {

constexpr int kTriesWhenBusy = 4;
constexpr int kTriesWhenBroken = 2;            // few: a host that is not there should be told soon
constexpr std::chrono::seconds kMaxTime{30};   // of all tries together
constexpr std::chrono::seconds kShortest{10};  // another try needs so much: it waits first

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
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + kMaxTime;
  const auto left = [&] {
    return std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  };
  return in_context("pull model manifest", [&] {
    for (int attempt = 0;; ++attempt) {
      std::string why;
      http::ClientResponse response;
      try {
        response = registry.follow({.url = registry.url(name, "manifests/" + name.tag()),
                                    .headers = {{"Accept", std::string(kManifestType)}},
                                    .stop = options.stop,
                                    .total_timeout = left()});
        why = fmt::format("{}", response.status);
      } catch (const Error& e) {
        const bool again = e.kind() == ErrorKind::kUpstream && attempt + 1 < kTriesWhenBroken;
        if (!again || left() < kShortest) throw;
        why = e.what();
      }
      const bool failed = response.status == 0 || response.status == 429 || response.status >= 500;
      if (!failed || attempt + 1 >= kTriesWhenBusy || left() < kShortest) {
        require_ok(response);
        return std::move(response.body);
      }
      log::debug("manifest of {}: {}, asked again", name.short_text(), why);
      pause_before_retry(attempt, options.stop);
    }
  });
}

}  // namespace cria::store
