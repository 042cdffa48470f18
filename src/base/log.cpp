#include "base/log.h"

#include "base/json.h"
#include "base/log_context.h"
#include "base/printable.h"
#include "base/settings.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace cria {
namespace {

constexpr const char* kText = "time=%Y-%m-%dT%H:%M:%S.%e%z level=%l role=%n %v";
constexpr const char* kJson = R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","role":"%n",%v})";
bool writes_json = false;  // set once, before there are threads

std::string& id_of_this_thread() {
  thread_local std::string id;
  return id;
}

}  // namespace

void set_up_log(const char* role, int debug_level) {
  auto logger = spdlog::stderr_logger_mt(role);
  spdlog::set_default_logger(logger);
  writes_json = setting_choice("CRIA_LOG_FORMAT", {"text", "json"}) == "json";
  spdlog::set_pattern(writes_json ? kJson : kText);
  spdlog::set_level(debug_level >= 2   ? spdlog::level::trace
                    : debug_level == 1 ? spdlog::level::debug
                                       : spdlog::level::info);
}

namespace log {
namespace {

spdlog::level::level_enum library_level(Level level) {
  switch (level) {
    case Level::kTrace:
      return spdlog::level::trace;
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarn:
      return spdlog::level::warn;
    case Level::kError:
      break;
  }
  return spdlog::level::err;
}

}  // namespace

RequestScope::RequestScope(std::string id) {
  id_of_this_thread() = std::move(id);
}

RequestScope::~RequestScope() {
  id_of_this_thread().clear();
}

const std::string& request_id() {
  return id_of_this_thread();
}

bool is_json() {
  return writes_json;
}

bool enabled(Level level) noexcept {
  return spdlog::should_log(library_level(level));
}

std::string escaped(std::string_view text) {
  std::string quoted;
  quoted.reserve(text.size());
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return printable(quoted, "");
}

void write(Level level, fmt::string_view text, fmt::format_args args) {
  // As a string_view: the library's templates would format it a second time.
  std::string line = fmt::vformat(text, args);
  const std::string& id = id_of_this_thread();
  if (writes_json)
    line = (id.empty() ? "" : fmt::format("\"request_id\":{},", dump_json(id))) +
           fmt::format("\"msg\":{}", dump_json(line));
  else
    line = (id.empty() ? "" : fmt::format("request={} ", id)) +
           fmt::format("msg=\"{}\"", escaped(line));
  spdlog::default_logger_raw()->log(library_level(level), spdlog::string_view_t(line));
}

}  // namespace log
}  // namespace cria
