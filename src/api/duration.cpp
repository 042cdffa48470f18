#include "api/duration.h"

#include "base/error.h"

#include <array>
#include <cmath>
#include <cstdlib>
#include <ctime>

namespace cria::api {
namespace {

struct Unit {
  std::string_view name;
  double nanoseconds;
};
constexpr std::array kUnits = {Unit{"ns", 1},   Unit{"us", 1e3},  Unit{"µs", 1e3},
                               Unit{"μs", 1e3}, Unit{"ms", 1e6},  Unit{"s", 1e9},
                               Unit{"m", 6e10}, Unit{"h", 3.6e12}};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

Nanoseconds from_double(double nanoseconds) {
  if (!(nanoseconds < 9.2e18)) return kForever;
  if (nanoseconds < -9.2e18) return -kForever;
  return Nanoseconds(static_cast<int64_t>(nanoseconds));
}

std::string with_zone(WallTime time, const std::tm& parts, const std::string& zone) {
  const auto since = time.time_since_epoch();
  auto fraction = std::chrono::duration_cast<Nanoseconds>(since).count() % 1'000'000'000;
  if (fraction < 0) fraction += 1'000'000'000;
  std::string digits;
  if (fraction > 0) {
    digits = fmt::format(".{:09}", fraction);
    digits.erase(digits.find_last_not_of('0') + 1);
  }
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}{}", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     digits, zone);
}

}  // namespace

Nanoseconds parse_duration(std::string_view text) {
  const std::string_view whole = text;
  const auto invalid = [&] {
    fail(ErrorKind::kInvalidInput, "time: invalid duration \"{}\"", whole);
  };
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  if (text == "0") return Nanoseconds(0);
  if (text.empty()) invalid();
  double total = 0;
  while (!text.empty()) {
    size_t end = 0, digits = 0, dots = 0;
    for (; end < text.size() && (is_digit(text[end]) || text[end] == '.'); ++end)
      ++(text[end] == '.' ? dots : digits);
    if (digits == 0 || dots > 1) invalid();
    const double number = std::strtod(std::string(text.substr(0, end)).c_str(), nullptr);
    text.remove_prefix(end);
    for (end = 0; end < text.size() && !is_digit(text[end]) && text[end] != '.';) ++end;
    const std::string_view name = text.substr(0, end);
    text.remove_prefix(end);
    if (name.empty())
      fail(ErrorKind::kInvalidInput, "time: missing unit in duration \"{}\"", whole);
    const auto* unit =
        std::find_if(kUnits.begin(), kUnits.end(), [&](const Unit& u) { return u.name == name; });
    if (unit == kUnits.end())
      fail(ErrorKind::kInvalidInput, "time: unknown unit \"{}\" in duration \"{}\"", name, whole);
    total += number * unit->nanoseconds;
  }
  return from_double(negative ? -total : total);
}

std::string format_duration(Nanoseconds duration) {
  const int64_t count = duration.count();
  if (count == 0) return "0s";
  const std::string sign = count < 0 ? "-" : "";
  const auto size = static_cast<uint64_t>(count < 0 ? -(count + 1) : count) + (count < 0 ? 1 : 0);
  const auto decimal = [](uint64_t value, uint64_t unit, int digits) {
    std::string text = fmt::format("{}.{:0{}}", value / unit, value % unit, digits);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
    return text;
  };
  if (size < 1'000) return fmt::format("{}{}ns", sign, size);
  if (size < 1'000'000) return sign + decimal(size, 1'000, 3) + "µs";
  if (size < 1'000'000'000) return sign + decimal(size, 1'000'000, 6) + "ms";
  const uint64_t minutes = size / 60'000'000'000;
  std::string text = sign;
  if (minutes >= 60) text += fmt::format("{}h", minutes / 60);
  if (minutes > 0) text += fmt::format("{}m", minutes % 60);
  return text + decimal(size % 60'000'000'000, 1'000'000'000, 9) + "s";
}

std::optional<Nanoseconds> parse_keep_alive(const Json* value) {
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (value->is_number()) {
    const double seconds = value->get<double>();
    return seconds < 0 ? kForever : from_double(seconds * 1e9);
  }
  if (value->is_string()) {
    const Nanoseconds duration = parse_duration(value->get<std::string>());
    return duration.count() < 0 ? kForever : duration;
  }
  const char* const type = value->is_boolean() ? "bool"
                           : value->is_array() ? "[]interface {}"
                                               : "map[string]interface {}";
  fail(ErrorKind::kInvalidInput, "Unsupported type: '{}'", type);
}

std::optional<Nanoseconds> parse_setting_duration(std::string_view text) {
  char* end = nullptr;
  const std::string copy(text);
  const double seconds = std::strtod(copy.c_str(), &end);
  Nanoseconds value = {};
  if (end != copy.c_str() && *end == '\0' && std::isfinite(seconds)) {
    value = from_double(seconds * 1e9);
  } else {
    try {
      value = parse_duration(text);
    } catch (const Error&) {
      return std::nullopt;
    }
  }
  return value.count() < 0 ? kForever : value;
}

std::string format_utc(WallTime time) {
  const std::time_t seconds =
      std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
  std::tm parts = {};
  ::gmtime_r(&seconds, &parts);
  return with_zone(time, parts, "Z");
}

std::string format_local(WallTime time) {
  const std::time_t seconds =
      std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
  std::tm parts = {};
  ::localtime_r(&seconds, &parts);
  const long minutes = std::labs(parts.tm_gmtoff) / 60;
  const std::string zone = parts.tm_gmtoff == 0
                               ? "Z"
                               : fmt::format("{}{:02}:{:02}", parts.tm_gmtoff < 0 ? '-' : '+',
                                             minutes / 60, minutes % 60);
  return with_zone(time, parts, zone);
}

}  // namespace cria::api
