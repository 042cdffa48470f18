#include "text/grammar/string_formats.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string>
#include <utility>

namespace cria::grammar {
namespace {

// February 29th in years that 4 divides, but 100 only where 400 does.
constexpr std::string_view kDate =
    R"((?:\d{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|)"
    R"((?:0[13578]|1[02])-31)|(?:\d\d(?:0[48]|[2468][048]|[13579][26])|)"
    R"((?:[02468][048]|[13579][26])00)-02-29))";
constexpr std::string_view kTime =
    R"((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d))";
constexpr std::string_view kHost =
    R"([a-zA-Z0-9](?:[a-zA-Z0-9]{0,20}(?:-[a-zA-Z0-9]{1,20}){0,1})(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9]{0,20}(?:-[a-zA-Z0-9]{1,20}){0,1})){0,4})";
constexpr std::string_view kIpv4 =
    R"((?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3})";

std::string join(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (const std::string_view part : parts) out += part;
  return out;
}

std::string ipv6() {
  constexpr std::string_view kGroup = "[0-9a-fA-F]{1,4}";
  std::string out = join({"(?:", kGroup, ":){7}", kGroup});
  for (int before = 0; before <= 7; ++before) {  // groups before ::
    out += '|';
    if (before > 0) out += join({kGroup, "(?::", kGroup, "){", std::to_string(before - 1), "}"});
    out += "::";
    if (before < 7)
      out += join({"(?:", kGroup, "(?::", kGroup, "){0,", std::to_string(6 - before), "})?"});
  }
  return out;
}

std::string duration() {
  constexpr std::string_view kLarge =
      R"((?:\d{1,9}Y(?:\d{1,9}M(?:\d{1,9}D)?)?|\d{1,9}M(?:\d{1,9}D)?|\d{1,9}D))";
  constexpr std::string_view kSmall =
      R"(T(?:\d{1,9}H(?:\d{1,9}M(?:\d{1,9}S)?)?|\d{1,9}M(?:\d{1,9}S)?|\d{1,9}S))";
  return join({"P(?:", kLarge, "(?:", kSmall, ")?|", kSmall, R"(|\d{1,9}W))"});
}

std::string email() {
  return join({R"([a-zA-Z0-9_+-]{1,40}(?:\.[a-zA-Z0-9_+-]{1,20})?@)", kHost});
}

std::string uri() {
  constexpr std::string_view kCharacters = "a-zA-Z0-9._~!$&'()*+,;=:@";
  return join({"[a-z][a-z0-9+.-]{0,15}://", kHost, R"((?::[1-9]\d{0,3})?(?:/[)", kCharacters,
               R"(-]*)*(?:\?[)", kCharacters, "/?-]*)?(?:#[", kCharacters, "/?-]*)?"});
}

}  // namespace

std::string_view format_pattern(std::string_view name) {
  static const auto kFormats = std::to_array<std::pair<std::string_view, std::string>>(
      {{"date", std::string(kDate)},
       {"time", std::string(kTime)},
       {"date-time", join({kDate, "T", kTime})},
       {"duration", duration()},
       {"uuid", "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"},
       {"email", email()},
       {"hostname", std::string(kHost)},
       {"ipv4", std::string(kIpv4)},
       {"ipv6", ipv6()},
       {"uri", uri()}});
  const auto* const found =
      std::ranges::find(kFormats, name, &std::pair<std::string_view, std::string>::first);
  return found == kFormats.end() ? std::string_view{} : std::string_view(found->second);
}

}  // namespace cria::grammar
