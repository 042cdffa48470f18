#include "base/log.h"

#include "base/printable.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace cria {

void set_up_log(const char* role, int debug_level) {
  auto logger = spdlog::stderr_logger_mt(role);
  spdlog::set_default_logger(logger);
  spdlog::set_pattern("time=%Y-%m-%dT%H:%M:%S.%e%z level=%l role=%n msg=\"%v\"");
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
  const std::string line = escaped(fmt::vformat(text, args));
  spdlog::default_logger_raw()->log(library_level(level), spdlog::string_view_t(line));
}

}  // namespace log
}  // namespace cria
