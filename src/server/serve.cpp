#include "server/serve.h"

#include "base/log.h"
#include "base/settings.h"
#include "server/address.h"
#include "server/routes.h"
#include "store/registry/keys.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <thread>

namespace cria::server {
namespace {

constexpr size_t kDefaultLoaded = 3;
constexpr std::chrono::seconds kLeastWatchdog{1};

// As existing set-ups expect, an invalid value counts as none; it is told.
api::Nanoseconds duration_of(std::string_view name) {
  const auto value = api::parse_setting_duration(setting(name));
  if (!value) warn_of_setting(name);
  return value.value_or(std::chrono::minutes(5));
}

SchedulerOptions scheduler_options(Metrics& metrics) {
  SchedulerOptions options;
  options.max_queue = static_cast<size_t>(setting_integer("OLLAMA_MAX_QUEUE"));
  const long long loaded = setting_integer("OLLAMA_MAX_LOADED_MODELS");
  options.max_loaded = loaded > 0 ? static_cast<size_t>(loaded) : kDefaultLoaded;
  options.keep_alive = duration_of("OLLAMA_KEEP_ALIVE");
  options.load_timeout = duration_of("OLLAMA_LOAD_TIMEOUT");
  options.watchdog = setting_duration("CRIA_WATCHDOG");
  // A sign of life comes a few times a second.
  if (options.watchdog.count() > 0)
    options.watchdog = std::max<std::chrono::nanoseconds>(options.watchdog, kLeastWatchdog);
  options.on_start = [&](const std::string& model) { metrics.runner_started(model); };
  options.on_failure = [&](const std::string& model) { metrics.runner_failed(model); };
  return options;
}

// The key that registries know this user by (spec api-and-cli.md 7.8).
void make_key() {
  bool made = false;
  try {
    const auto key = store::KeyPair::ensure(store::KeyPair::default_path(), &made);
    if (!made) return;
    std::printf("Couldn't find '%s'. Generating new private key.\nYour new public key is: \n\n%s\n",
                store::KeyPair::default_path().c_str(), key.public_text().c_str());
    std::fflush(stdout);
  } catch (const Error& e) {  // only a registry that asks for it needs it
    log::warn("no key for registries: {}", e.what());
  }
}

// The lines that tools which start a server wait for (spec api-and-cli.md 10). Keys are left out,
// and proxies: their addresses may hold passwords.
void log_start() {
  std::string env;
  for (const SettingRow& row : setting_rows())
    if ((row.name.starts_with("OLLAMA_") || row.name.starts_with("CRIA_")) &&
        !row.name.ends_with("_KEY"))
      env += fmt::format("{}{}:{}", env.empty() ? "" : " ", row.name, setting(row.name));
  log::info("server config env=map[{}]", env);
  log::info("inference compute id=cpu library=cpu threads={}", std::thread::hardware_concurrency());
}

// A server that others can reach says so, or does not start.
void check_exposure(const http::Server& server, bool require_keys) {
  const api::KeyFile file(api::default_key_file());
  std::error_code ignored;
  const bool has_file = std::filesystem::exists(file.path(), ignored);
  if (require_keys && !server.is_loopback() && file.list().empty())
    fail(ErrorKind::kInvalidInput,
         "CRIA_REQUIRE_AUTH is set and {} can be reached from other machines, but there is no API "
         "key; make one by `cria key create`, or bind a loopback address",
         server.address());
  if (!server.is_loopback() && !has_file)
    log::warn(
        "anybody who reaches {} can use, change and delete the models: it is no loopback address "
        "and there are no API keys. Make one by `cria key create`, or set "
        "OLLAMA_HOST=127.0.0.1:{}",
        server.address(), server.port());
  else if (require_keys && !has_file)
    log::warn(
        "CRIA_REQUIRE_AUTH is set and there is no API key: every request is refused until `cria "
        "key create` has made one");
}

void run() {
  log_start();
  const Address address = parse_address(setting("OLLAMA_HOST"));
  store::Store store(store::Store::default_folder());
  const bool prune = !setting_flag("OLLAMA_NOPRUNE");
  if (prune) store.prune();
  make_key();
  Metrics metrics;
  Requests requests;
  Scheduler scheduler(scheduler_options(metrics));
  Models models(store, scheduler.spawner());
  store::Downloads downloads(store);
  const bool require_keys = setting_flag("CRIA_REQUIRE_AUTH");
  api::KeyRing keys(api::default_key_file(), require_keys);
  Service service = {.models = models,
                     .scheduler = scheduler,
                     .downloads = downloads,
                     .keys = keys,
                     .metrics = metrics,
                     .requests = requests,
                     .prune = prune};
  std::optional<Access> access;  // needs to know where the server listens
  http::Server server(
      {.host = address.host,
       .port = address.port,
       .stop_on_signals = true,
       .on_stop = [&] { scheduler.shut_down(); }},
      [&](const http::Request& head) { return body_rule(service, head); },
      [&](http::Exchange& exchange) { serve_request(service, *access, exchange); });
  access.emplace(setting("OLLAMA_ORIGINS"), server.is_loopback(), names_of_this_machine());
  check_exposure(server, require_keys);
  log::info("Listening on {} (version {})", server.address(), kVersion);
  server.run();
}

}  // namespace

int serve() {
  std::signal(SIGPIPE, SIG_IGN);
  try {
    run();
    return 0;
  } catch (const Error& e) {
    std::fprintf(stderr, "Error: %s\n", e.what());
    return exit_code(e.kind());
  }
}

}  // namespace cria::server
