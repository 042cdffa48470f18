// flags.h - flags and arguments of one command from a table. Written here because the error texts
// and
// "--think[=value]" (a flag whose value is optional) are part of the interface that scripts know.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cria::cli {

enum class FlagKind { kSwitch, kText, kOptionalText };

struct Flag {
  std::string_view name;
  char letter = 0;
  FlagKind kind = FlagKind::kSwitch;
  std::string_view help;
};

class Arguments {
 public:
  bool has(std::string_view flag) const { return values_.contains(std::string(flag)); }
  // The value given, "true" for a switch; empty when absent.
  std::string text(std::string_view flag) const;
  bool on(std::string_view flag) const { return has(flag) && text(flag) != "false"; }

  std::vector<std::string> positional;

 private:
  friend Arguments parse_arguments(std::span<const Flag>, std::span<const std::string>);
  std::map<std::string, std::string> values_;
};

// Throws Error{kInvalidInput}: "unknown flag: --x", "flag needs an argument: --x". "--" ends the
// flags.
Arguments parse_arguments(std::span<const Flag> flags, std::span<const std::string> words);

// One aligned line per flag.
std::string flags_help(std::span<const Flag> flags);

}  // namespace cria::cli
