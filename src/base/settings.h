// settings.h - every environment variable, one row each. Nothing else calls getenv.
//
// OLLAMA_* variables have Ollama's meaning; what is Cria's alone is CRIA_*. Values are trimmed of
// spaces and quotes; an empty value counts as absent.
#pragma once

#include <chrono>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace cria {

struct SettingRow {
  std::string_view name;
  std::string_view fallback;  // the default, as text
  std::string_view help;
};

std::span<const SettingRow> setting_rows();

// `name` must be a row of the table.
std::string setting(std::string_view name);
// A boolean that does not parse counts as true, as existing scripts expect.
bool setting_flag(std::string_view name);
// The default, with a warning in the log, when it is not an integer of 0 or more.
long long setting_integer(std::string_view name);
// One of `choices` in any case of letters; the default, with a warning, for anything else.
std::string setting_choice(std::string_view name, std::initializer_list<std::string_view> choices);
// Logs, once for each name, that its value is nonsense and the default counts.
void warn_of_setting(std::string_view name);
// "250ms", "30s", "5m"; a bare number is seconds. The default, with a warning, for anything else.
std::chrono::milliseconds setting_duration(std::string_view name);

}  // namespace cria
