// log.h - the process's log on stderr. OLLAMA_DEBUG=1 shows debug lines, 2 also trace lines.
//
// Only log.cpp knows the logging library: its header costs every file that includes it seconds of
// compilation.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>

namespace cria {

// Called once by main: format of a line and level from settings. `role` is printed in each line.
void set_up_log(const char* role, int debug_level);

namespace log {

enum class Level { kTrace, kDebug, kInfo, kWarn, kError };

bool enabled(Level level) noexcept;
// One line, whatever is in the text: what could end it, forge another or steer a terminal is
// escaped.
void write(Level level, fmt::string_view text, fmt::format_args args);
// What stands between the quotes of msg="...": control characters, quotes and backslashes escaped
// as in a Go or JSON string (Ollama's log quotes so, too).
std::string escaped(std::string_view text);

template <class... Args>
void at(Level level, fmt::format_string<Args...> text, Args&&... args) {
  if (enabled(level)) write(level, text, fmt::make_format_args(args...));
}

template <class... Args>
void debug(fmt::format_string<Args...> text, Args&&... args) {
  if (enabled(Level::kDebug)) write(Level::kDebug, text, fmt::make_format_args(args...));
}

template <class... Args>
void info(fmt::format_string<Args...> text, Args&&... args) {
  if (enabled(Level::kInfo)) write(Level::kInfo, text, fmt::make_format_args(args...));
}

template <class... Args>
void warn(fmt::format_string<Args...> text, Args&&... args) {
  if (enabled(Level::kWarn)) write(Level::kWarn, text, fmt::make_format_args(args...));
}

template <class... Args>
void error(fmt::format_string<Args...> text, Args&&... args) {
  if (enabled(Level::kError)) write(Level::kError, text, fmt::make_format_args(args...));
}

}  // namespace log
}  // namespace cria
