#include "cli/format.h"

#include "api/duration.h"
#include "cli/terminal/width.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>

namespace cria::cli {
namespace {

constexpr double kHour = 3600, kDay = 24 * kHour;

std::string duration_words(double seconds) {
  const auto whole = [](double value) { return static_cast<int64_t>(value); };
  if (seconds < 1) return "Less than a second";
  if (seconds < 2) return "1 second";
  if (seconds < 60) return fmt::format("{} seconds", whole(seconds));
  if (seconds < 120) return "About a minute";
  if (seconds < kHour) return fmt::format("{} minutes", whole(seconds / 60));
  const int64_t hours = std::llround(seconds / kHour);
  if (hours == 1) return "About an hour";
  if (hours < 48) return fmt::format("{} hours", hours);
  if (hours < 24 * 14) return fmt::format("{} days", hours / 24);
  if (hours < 24 * 60) return fmt::format("{} weeks", hours / 24 / 7);
  if (hours < 24 * 365 * 2) return fmt::format("{} months", hours / 24 / 30);
  return fmt::format("{} years", whole(seconds / kDay / 365));
}

void add_line(std::string& out, std::string_view label, const std::string& value) {
  out += fmt::format("{:<22}{}\n", label, value);
}

void add_phase(std::string& out, const Json& done, const std::string& name) {
  const int64_t count = json_integer(done, name + "_count").value_or(0);
  const int64_t time = json_integer(done, name + "_duration").value_or(0);
  std::string label = name;
  std::replace(label.begin(), label.end(), '_', ' ');
  if (count > 0) add_line(out, label + " count:", fmt::format("{} token(s)", count));
  if (time <= 0) return;
  add_line(out, label + " duration:", api::format_duration(api::Nanoseconds(time)));
  const double rate = static_cast<double>(count) / (static_cast<double>(time) / 1e9);
  add_line(out, label + " rate:", fmt::format("{:.2f} tokens/s", rate));
}

}  // namespace

std::string human_bytes(int64_t bytes) {
  constexpr std::array kUnits = {"B", "KB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1000 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  if (value >= 10 || value == std::floor(value))
    return fmt::format("{} {}", static_cast<int64_t>(value), kUnits[unit]);
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string human_count(uint64_t count) {
  const double value = static_cast<double>(count);
  const auto scaled = [&](double unit, int digits, const char* suffix) {
    const double number = value / unit;
    if (number == std::floor(number)) return fmt::format("{:.0f}{}", number, suffix);
    return fmt::format("{:.{}f}{}", number, digits, suffix);
  };
  if (value >= 1e9) return scaled(1e9, 1, "B");
  if (value >= 1e6) return scaled(1e6, 2, "M");
  if (value >= 1e3) return fmt::format("{:.0f}K", value / 1e3);
  return std::to_string(count);
}

std::string relative_time(Seconds offset) {
  const double seconds = offset.count();
  if (seconds > 20 * 365 * kDay) return "Forever";
  return duration_words(std::abs(seconds)) + (seconds < 0 ? " ago" : " from now");
}

std::optional<Seconds> seconds_until(std::string_view rfc3339) {
  const std::string text(rfc3339);
  std::tm parts = {};
  double seconds = 0;
  int length = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%lf%n", &parts.tm_year, &parts.tm_mon,
                  &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &seconds, &length) != 6)
    return std::nullopt;
  if (parts.tm_year <= 1) return std::nullopt;
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  double offset = 0;
  const std::string zone = text.substr(static_cast<size_t>(length));
  int hours = 0, minutes = 0;
  if (zone.size() == 6 && std::sscanf(zone.c_str() + 1, "%2d:%2d", &hours, &minutes) == 2)
    offset = (zone[0] == '-' ? -1 : 1) * (hours * kHour + minutes * 60);
  else if (zone != "Z")
    return std::nullopt;
  const double then = static_cast<double>(timegm(&parts)) + seconds - offset;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return Seconds(then - std::chrono::duration<double>(now).count());
}

std::string format_table(const std::vector<Row>& rows, int indent) {
  std::vector<size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i]));
  }
  std::string out;
  for (const Row& row : rows) {
    out.append(static_cast<size_t>(indent), ' ');
    for (size_t i = 0; i < widths.size(); ++i) {
      const std::string cell = i < row.size() ? row[i] : std::string();
      out += cell;
      out.append(widths[i] - display_width(cell) + 4, ' ');
    }
    out += '\n';
  }
  return out;
}

std::string format_statistics(const Json& done) {
  std::string out;
  for (const char* name : {"total", "load"})
    if (const int64_t time = json_integer(done, fmt::format("{}_duration", name)).value_or(0))
      add_line(out, fmt::format("{} duration:", name),
               api::format_duration(api::Nanoseconds(time)));
  add_phase(out, done, "prompt_eval");
  add_phase(out, done, "eval");
  return out;
}

std::string format_value(const Json& value) {
  constexpr size_t kColumns = 10;
  if (value.is_string()) return value.get_ref<const std::string&>();
  if (!value.is_array()) return dump_json(value);
  std::string out = "[";
  for (size_t i = 0; i < value.size(); ++i) {
    const std::string item = format_value(value[i]);
    if (i > 0 && out.size() + item.size() > kColumns)
      return out + fmt::format(" ...+{} more]", value.size() - i);
    out += (i > 0 ? " " : "") + item;
  }
  return out + "]";
}

}  // namespace cria::cli
