// shard_name.h - names of the files of a model that was cut into parts: "x-00001-of-00003.gguf".
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace cria {

struct ShardName {
  std::string prefix;  // "x", with its folder, if any
  int number = 1, count = 1;

  std::string part(int n) const;  // the name of part `n`, from 1 on
};

// nullopt for other names, and for a number that is not within 1 and the count.
std::optional<ShardName> parse_shard_name(std::string_view path);

}  // namespace cria
