#include "base/resources.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#ifdef __linux__
#include <sched.h>
#endif

namespace cria {
namespace {

std::string line_of(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

// "max" and unreadable files give nothing.
std::optional<int64_t> number_in(const std::string& text) {
  std::istringstream in(text);
  int64_t number = 0;
  if (in >> number) return number;
  return std::nullopt;
}

// A "key value" or "key: value kB" file such as /proc/meminfo or memory.stat.
std::optional<int64_t> field_in(const std::string& path, const std::string& key) {
  std::ifstream in(path);
  std::string name;
  int64_t value = 0;
  std::string rest;
  while (in >> name >> value) {
    std::getline(in, rest);
    if (name == key) return value;
  }
  return std::nullopt;
}

// Folders of this process's control group and those above it (version 2 layout).
std::vector<std::string> group_folders() {
  std::vector<std::string> out;
  std::ifstream in("/proc/self/cgroup");
  std::string line;
  while (std::getline(in, line)) {
    if (line.rfind("0::", 0) != 0) continue;
    std::string path = line.substr(3);
    while (path.size() > 1) {
      out.push_back("/sys/fs/cgroup" + path);
      path.resize(path.find_last_of('/'));
    }
  }
  out.push_back("/sys/fs/cgroup");
  return out;
}

std::optional<int64_t> group_memory(const std::string& folder) {
  const auto limit = number_in(line_of(folder + "/memory.max"));
  const auto used = number_in(line_of(folder + "/memory.current"));
  if (!limit || !used) return std::nullopt;
  // The group's page cache counts as used, but gives way.
  const int64_t cache = field_in(folder + "/memory.stat", "inactive_file").value_or(0);
  return std::max<int64_t>(0, *limit - *used + cache);
}

std::optional<int64_t> old_group_memory() {
  const std::string folder = "/sys/fs/cgroup/memory";
  const auto limit = number_in(line_of(folder + "/memory.limit_in_bytes"));
  const auto used = number_in(line_of(folder + "/memory.usage_in_bytes"));
  if (!limit || !used || *limit > (int64_t{1} << 60)) return std::nullopt;
  const int64_t cache = field_in(folder + "/memory.stat", "total_inactive_file").value_or(0);
  return std::max<int64_t>(0, *limit - *used + cache);
}

std::optional<double> cpu_quota() {
  std::optional<double> least;
  const auto consider = [&](double quota, double period) {
    if (quota > 0 && period > 0) least = std::min(least.value_or(quota / period), quota / period);
  };
  for (const std::string& folder : group_folders()) {
    std::istringstream in(line_of(folder + "/cpu.max"));
    double quota = 0, period = 0;
    if (in >> quota >> period) consider(quota, period);  // "max 100000" fails to read
  }
  const std::string old = "/sys/fs/cgroup/cpu";
  consider(static_cast<double>(number_in(line_of(old + "/cpu.cfs_quota_us")).value_or(-1)),
           static_cast<double>(number_in(line_of(old + "/cpu.cfs_period_us")).value_or(-1)));
  return least;
}

int allowed_cores() {
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    std::set<std::string> cores;  // the threads of one core name the same siblings
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &set)) continue;
      const std::string siblings =
          line_of(fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", cpu));
      cores.insert(siblings.empty() ? fmt::format("alone {}", cpu) : siblings);
    }
    if (!cores.empty()) return static_cast<int>(cores.size());
  }
#endif
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace

int64_t available_memory() {
  int64_t out = INT64_MAX;
  if (const auto kib = field_in("/proc/meminfo", "MemAvailable:")) out = *kib * 1024;
  for (const std::string& folder : group_folders())
    if (const auto bytes = group_memory(folder)) out = std::min(out, *bytes);
  if (const auto bytes = old_group_memory()) out = std::min(out, *bytes);
  return out;
}

int usable_threads() {
  const int cores = allowed_cores();
  const auto quota = cpu_quota();
  return quota ? std::clamp(static_cast<int>(std::lround(*quota)), 1, cores) : cores;
}

std::string human_bytes(int64_t bytes) {
  constexpr std::array<const char*, 4> kUnits = {"KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace cria
