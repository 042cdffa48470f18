#include "base/settings.h"

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <set>

namespace cria {
namespace {

constexpr std::array kRows = {
    SettingRow{"OLLAMA_HOST", "127.0.0.1:11434", "address of the server, to bind or to call"},
    SettingRow{"OLLAMA_MODELS", "", "folder of the model store (default ~/.ollama/models)"},
    SettingRow{"OLLAMA_DEBUG", "0", "1: debug lines in the log, 2: trace lines too"},
    SettingRow{"OLLAMA_KEEP_ALIVE", "5m", "how long an idle model stays loaded"},
    SettingRow{"OLLAMA_LOAD_TIMEOUT", "5m", "how long a load may go without progress"},
    SettingRow{
        "CRIA_WATCHDOG", "60s",
        "a loaded model's process that owes answers and shows no sign of work for so long is "
        "ended, 0: never"},
    SettingRow{"OLLAMA_NUM_PARALLEL", "0",
               "requests that one model serves at a time, 0: up to 16, by memory"},
    SettingRow{"OLLAMA_MAX_LOADED_MODELS", "0", "models loaded at once, 0: three"},
    SettingRow{"OLLAMA_MAX_QUEUE", "512", "requests that may wait before 503"},
    SettingRow{"OLLAMA_CONTEXT_LENGTH", "0", "default num_ctx, 0: what model and memory allow"},
    SettingRow{"CRIA_KV_MEMORY", "0",
               "most MiB that a model's KV cache may grow to, 0: by the memory that is free"},
    SettingRow{"OLLAMA_KV_CACHE_TYPE", "f16",
               "type of the KV cache: f16, q8_0 (half the memory; also for q4_0) or f32"},
    SettingRow{"CRIA_PROMPT_CACHE", "",
               "1: computed prompts are kept on disk, for a model's next load (in "
               "OLLAMA_MODELS/cria/prompts, as large as the KV cache)"},
    SettingRow{"OLLAMA_ORIGINS", "", "more origins that browsers may call from, comma-separated"},
    SettingRow{"OLLAMA_NOHISTORY", "", "1: the prompt keeps no history file"},
    SettingRow{
        "OLLAMA_GO_TEMPLATE", "",
        "1: prompts by a model's TEMPLATE, 0: by the file's own chat template; unset: by the "
        "one that can do more"},
    SettingRow{"OLLAMA_NOPRUNE", "", "1: unused blobs are not removed at start"},
    SettingRow{"OLLAMA_NUM_THREADS", "0", "engine threads, 0: the cores this process may use"},
    SettingRow{"OLLAMA_MAX_TRANSFER_STREAMS", "4",
               "blobs that a model of many small ones moves at once"},
    SettingRow{"HTTP_PROXY", "", "proxy of http requests"},
    SettingRow{"HTTPS_PROXY", "", "proxy of https requests"},
    SettingRow{"NO_PROXY", "", "hosts, domains and addresses that are reached without a proxy"},
    SettingRow{"http_proxy", "", "as HTTP_PROXY"},
    SettingRow{"https_proxy", "", "as HTTPS_PROXY"},
    SettingRow{"no_proxy", "", "as NO_PROXY"},
    SettingRow{"SSL_CERT_FILE", "", "file of the certificate authorities to trust"},
    SettingRow{"SSL_CERT_DIR", "", "folder of the certificate authorities to trust"},
    SettingRow{"CRIA_STALL_TIMEOUT", "30s", "a transfer without a byte for so long is begun again"},
    SettingRow{"CRIA_RETRY_DELAY", "1s",
               "wait before a transfer's first retry, then twice as long"},
    SettingRow{"CRIA_PART_BYTES", "0", "size of a transfer's parts, 0: by the size of the file"},
    SettingRow{"DOCKER_CONFIG", "", "folder of docker's config.json (default ~/.docker)"},
    SettingRow{"OLLAMA_API_KEY", "", "API key that commands send to the server"},
    SettingRow{"CRIA_API_KEY", "", "as OLLAMA_API_KEY, and before it"},
    SettingRow{"CRIA_REQUIRE_AUTH", "",
               "1: requests need an API key also while there is none; without one no start outside "
               "loopback"},
    SettingRow{"CRIA_LOG_FORMAT", "text", "json: every line of the log is an object"},
    SettingRow{"CRIA_CPU", "",
               "force a kernel set: scalar, avx2, avx512, avx512_bf16, amx, neon, "
               "neon_dot"},
    SettingRow{"CRIA_SPECULATION", "1", "0: no step verifies guessed tokens; answers are the same"},
    SettingRow{"CRIA_TRACE", "", "\"layers\": log the first values of every layer's output"},
    SettingRow{"CRIA_PROFILE", "", "1: log the time of every op at exit"},
    SettingRow{"CRIA_NO_HUGE_PAGES", "", "1: weights and caches on ordinary pages"},
    SettingRow{"CRIA_TEST_MODELS", "", "folder of the tests' real models"},
    SettingRow{"OLLAMA_EDITOR", "",
               "editor that Ctrl + g opens at the prompt, else VISUAL, EDITOR"},
    SettingRow{"VISUAL", "", "see OLLAMA_EDITOR"},
    SettingRow{"EDITOR", "", "see OLLAMA_EDITOR"},
    SettingRow{"HOME", "/", "the user's folder"},
};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kDrop = " \t\r\n\"'";
  const size_t first = text.find_first_not_of(kDrop);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kDrop) - first + 1);
}

}  // namespace

std::span<const SettingRow> setting_rows() {
  return kRows;
}

namespace {

const SettingRow& row_of(std::string_view name) {
  for (const SettingRow& row : kRows)
    if (row.name == name) return row;
  check_failed("setting", std::string(name).c_str(), __FILE__, __LINE__);
}

// A variable with nonsense in it stops no request: its default counts, as in Ollama. Said once.
void warn_of(const SettingRow& row, std::string_view value) {
  static std::mutex mutex;
  static std::set<std::string_view> told;
  const std::lock_guard lock(mutex);
  if (told.insert(row.name).second)
    log::warn("invalid environment variable, using default: {}={} (default {})", row.name, value,
              row.fallback);
}

std::optional<long long> integer_in(std::string_view text) {
  long long number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

std::optional<std::chrono::milliseconds> duration_in(std::string_view text) {
  double number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  const double factor = unit == "ms"                  ? 1
                        : unit.empty() || unit == "s" ? 1000
                        : unit == "m"                 ? 60'000
                                                      : -1;
  if (code != std::errc() || factor < 0 || !(number >= 0) || number * factor > 1e12)
    return std::nullopt;
  return std::chrono::milliseconds(static_cast<int64_t>(number * factor));
}

template <class Parse>
auto parsed_setting(std::string_view name, Parse parse) {
  const SettingRow& row = row_of(name);
  const std::string value = setting(name);
  const auto result = parse(value);
  if (!result) warn_of(row, value);
  return result ? *result : parse(row.fallback).value();
}

}  // namespace

std::string setting(std::string_view name) {
  const SettingRow& row = row_of(name);
  const char* value = std::getenv(std::string(name).c_str());
  const std::string_view text = value == nullptr ? std::string_view{} : trimmed(value);
  return std::string(text.empty() ? row.fallback : text);
}

bool setting_flag(std::string_view name) {
  const std::string value = setting(name);
  return !(value.empty() || value == "0" || value == "f" || value == "F" || value == "false" ||
           value == "False" || value == "FALSE");
}

std::string setting_choice(std::string_view name, std::initializer_list<std::string_view> choices) {
  return parsed_setting(name, [&](std::string_view text) -> std::optional<std::string> {
    std::string low = lower_case(text);
    if (std::ranges::find(choices, low) == choices.end()) return std::nullopt;
    return low;
  });
}

void warn_of_setting(std::string_view name) {
  warn_of(row_of(name), setting(name));
}

long long setting_integer(std::string_view name) {
  return parsed_setting(name, integer_in);
}

std::chrono::milliseconds setting_duration(std::string_view name) {
  return parsed_setting(name, duration_in);
}

}  // namespace cria
