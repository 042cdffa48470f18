#include "base/shard_name.h"

#include <fmt/core.h>

#include <charconv>

namespace cria {
namespace {

constexpr std::string_view kPattern = "-#####-of-#####.gguf";

int number_at(std::string_view text) {
  int value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

std::string ShardName::part(int n) const {
  return fmt::format("{}-{:05}-of-{:05}.gguf", prefix, n, count);
}

std::optional<ShardName> parse_shard_name(std::string_view path) {
  if (path.size() <= kPattern.size()) return std::nullopt;
  const std::string_view end = path.substr(path.size() - kPattern.size());
  for (size_t i = 0; i < end.size(); ++i) {
    const bool digit = end[i] >= '0' && end[i] <= '9';
    if (kPattern[i] == '#' ? !digit : end[i] != kPattern[i]) return std::nullopt;
  }
  ShardName name{.prefix = std::string(path.substr(0, path.size() - kPattern.size())),
                 .number = number_at(end.substr(1, 5)),
                 .count = number_at(end.substr(10, 5))};
  if (name.number < 1 || name.number > name.count) return std::nullopt;
  return name;
}

}  // namespace cria
