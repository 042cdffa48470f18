// duration.h - durations and times as the API writes them: Go's syntax for durations, RFC 3339 for
// times, keep_alive in all its forms.
#pragma once

#include "base/json.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace cria::api {

using Nanoseconds = std::chrono::nanoseconds;
using WallTime = std::chrono::system_clock::time_point;

// "1h30m", "-1.5s", "0"; values beyond 292 years saturate. Throws Error{kInvalidInput} with Go's
// texts.
Nanoseconds parse_duration(std::string_view text);
std::string format_duration(Nanoseconds duration);  // "1m30s", "12.5ms"

inline constexpr Nanoseconds kForever = Nanoseconds::max();

// A number is seconds, a string a duration, negative is kForever; null is absent.
std::optional<Nanoseconds> parse_keep_alive(const Json* value);
// Of a setting: a duration or plain seconds, negative is kForever; nullopt when it is neither.
std::optional<Nanoseconds> parse_setting_duration(std::string_view text);

// "2026-08-21T10:00:00.028025494Z": nine fractional digits, trailing zeros cut.
std::string format_utc(WallTime time);
std::string format_local(WallTime time);  // with the zone's offset

}  // namespace cria::api
