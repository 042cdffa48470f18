#include "cli/flags.h"

#include "base/error.h"

#include <algorithm>

namespace cria::cli {
namespace {

const Flag& flag_of(std::span<const Flag> flags, std::string_view word, std::string_view name) {
  const bool is_long = word.starts_with("--");
  for (const Flag& flag : flags)
    if (is_long ? flag.name == name : name.size() == 1 && flag.letter == name[0]) return flag;
  if (is_long) fail(ErrorKind::kInvalidInput, "unknown flag: --{}", name);
  fail(ErrorKind::kInvalidInput, "unknown shorthand flag: '{}' in {}", name.substr(0, 1), word);
}

}  // namespace

std::string Arguments::text(std::string_view flag) const {
  const auto found = values_.find(std::string(flag));
  return found == values_.end() ? std::string() : found->second;
}

Arguments parse_arguments(std::span<const Flag> flags, std::span<const std::string> words) {
  Arguments result;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (word == "--") {
      result.positional.insert(result.positional.end(), words.begin() + static_cast<long>(i) + 1,
                               words.end());
      break;
    }
    if (word.size() < 2 || word[0] != '-') {
      result.positional.emplace_back(word);
      continue;
    }
    const std::string_view body = word.substr(word.starts_with("--") ? 2 : 1);
    const size_t equals = body.find('=');
    const Flag& flag = flag_of(flags, word, body.substr(0, equals));
    std::string value = "true";
    if (equals != std::string_view::npos) {
      value = body.substr(equals + 1);
    } else if (flag.kind == FlagKind::kText) {
      if (i + 1 == words.size()) fail(ErrorKind::kInvalidInput, "flag needs an argument: {}", word);
      value = words[++i];
    }
    if (flag.kind == FlagKind::kSwitch && value != "true" && value != "false")
      fail(ErrorKind::kInvalidInput,
           "invalid argument \"{}\" for \"--{}\" flag: must be true or false", value, flag.name);
    result.values_[std::string(flag.name)] = value;
  }
  return result;
}

std::string flags_help(std::span<const Flag> flags) {
  std::string out;
  for (const Flag& flag : flags) {
    std::string name = fmt::format("--{}", flag.name);
    if (flag.kind == FlagKind::kText) name += " string";
    if (flag.kind == FlagKind::kOptionalText) name += "[=string]";
    const std::string letter = flag.letter != 0 ? fmt::format("-{}, ", flag.letter) : "    ";
    out += fmt::format("  {}{:<22} {}\n", letter, name, flag.help);
  }
  return out;
}

}  // namespace cria::cli
