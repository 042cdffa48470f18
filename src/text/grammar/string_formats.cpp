#include "text/grammar/string_formats.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

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
constexpr std::string_view kOctet = R"((?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d))";

std::string join(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (const std::string_view part : parts) out += part;
  return out;
}

std::string ipv4() {
  return join({kOctet, "(?:\\.", kOctet, "){3}"});
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

constexpr std::string_view kUriCharacters = "a-zA-Z0-9._~!$&'()*+,;=:@";

// The query and the fragment.
std::string uri_end() {
  return join({R"((?:\?[)", kUriCharacters, "/?-]*)?(?:#[", kUriCharacters, "/?-]*)?"});
}

std::string uri() {
  return join({"[a-z][a-z0-9+.-]{0,15}://", kHost, R"((?::[1-9]\d{0,3})?(?:/[)", kUriCharacters,
               "-]*)*", uri_end()});
}

// A URI, or a path: // would begin a host, and a first part with a colon a scheme.
std::string uri_reference() {
  constexpr std::string_view kNoColon = "[a-zA-Z0-9._~!$&'()*+,;=@-]+";
  const std::string part = join({"[", kUriCharacters, "-]"});
  return join({uri(), "|(?:(?:", kNoColon, "|/", part, "+)(?:/", part, "*)*|/)?", uri_end()});
}

std::string uri_template() {
  constexpr std::string_view kName = "[a-zA-Z0-9_]+(?:\\.[a-zA-Z0-9_]+)*";
  constexpr std::string_view kChange = "(?::[1-9]\\d{0,3}|\\*)?";
  return join({R"((?:[a-zA-Z0-9._~!$&()*+,;=:@/?#-]|%[0-9a-fA-F]{2}|\{[+#./;?&]?)", kName, kChange,
               "(?:,", kName, kChange, R"()*\})*)"});
}

constexpr std::string_view kJsonPointer = "(?:/(?:[^~/]|~[01])*)*";

// The number without zeros inside: the validator of Python's jsonschema refuses 10.
std::string relative_json_pointer() {
  return join({"(?:0|[1-9]{1,4})(?:#|", kJsonPointer, ")"});
}

// RFC 4648 with padding; the bits that the last digit has too many are zero.
std::string base64(std::string_view last_two) {
  const std::string digit = join({"[A-Za-z0-9", last_two, "]"});
  return join({"(?:", digit, "{4})*(?:", digit, "[AQgw]==|", digit, "{2}[AEIMQUYcgkosw048]=)?"});
}

std::string uuid(std::string_view version) {
  const bool any = version.empty();
  return join({"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-", any ? "[0-9a-fA-F]" : version, "[0-9a-fA-F]{3}-",
               any ? "[0-9a-fA-F]" : "[89abAB]", "[0-9a-fA-F]{3}-[0-9a-fA-F]{12}"});
}

// An address, alone or with the length of its network.
std::string ipv4_interface() {
  return join({ipv4(), R"((?:/(?:[12]?\d|3[0-2]))?)"});
}
std::string ipv6_interface() {
  return join({"(?:", ipv6(), R"()(?:/(?:[1-9]?\d|1[01]\d|12[0-8]))?)"});
}

// The bits behind the length are zero, or it would be an address within the network.
std::string ipv4_network() {
  std::string out = ipv4();
  for (int length = 0; length <= 32; ++length) {
    const int octets = std::min(length / 8, 3), bits = length - 8 * octets;
    out += join({"|(?:", kOctet, R"(\.){)", std::to_string(octets), "}(?:"});
    for (int network = 0; network < 1 << bits; ++network)
      out += join({network > 0 ? "|" : "", std::to_string(network << (8 - bits))});
    out += join({R"()(?:\.0){)", std::to_string(3 - octets), "}/", std::to_string(length)});
  }
  return out;
}

// Written as the groups that hold the network, and :: for the rest.
std::string ipv6_network() {
  constexpr auto kLastDigits = std::to_array<std::string_view>({"0", "08", "048cC", "02468aceACE"});
  std::string out = join({"(?:", ipv6(), ")(?:/128)?|::/0"});
  for (int length = 1; length <= 112; ++length) {
    const int groups = (length - 1) / 16, digits = (length - 1) % 16 / 4,
              bits = (length - 1) % 4 + 1;
    out += join({"|(?:[0-9a-fA-F]{1,4}:){", std::to_string(groups), "}[0-9a-fA-F]{",
                 std::to_string(digits), "}[",
                 bits == 4 ? "0-9a-fA-F" : kLastDigits[static_cast<size_t>(bits)], "]0{",
                 std::to_string(3 - digits), "}::/", std::to_string(length)});
  }
  return out;
}

using Patterns = std::vector<std::pair<std::string_view, std::string>>;

Patterns patterns_of_standards() {
  return {{"date", std::string(kDate)},
          {"time", std::string(kTime)},
          {"date-time", join({kDate, "T", kTime})},
          {"duration", duration()},
          {"uuid", uuid("")},
          {"email", email()},
          {"idn-email", email()},
          {"hostname", std::string(kHost)},
          {"idn-hostname", std::string(kHost)},
          {"ipv4", ipv4()},
          {"ipv6", ipv6()},
          {"uri", uri()},
          {"iri", uri()},
          {"uri-reference", uri_reference()},
          {"iri-reference", uri_reference()},
          {"uri-template", uri_template()},
          {"json-pointer", std::string(kJsonPointer)},
          {"relative-json-pointer", relative_json_pointer()}};
}

// Of pydantic and OpenAPI.
Patterns patterns_of_libraries() {
  return {{"base64", base64("+/")},
          {"byte", base64("+/")},
          {"base64url", base64("_-")},
          {"uuid1", uuid("1")},
          {"uuid3", uuid("3")},
          {"uuid4", uuid("4")},
          {"uuid5", uuid("5")},
          {"uuid6", uuid("6")},
          {"uuid7", uuid("7")},
          {"uuid8", uuid("8")},
          {"name-email", join({"[a-zA-Z]{1,20}(?: [a-zA-Z]{1,20}){0,2} <", email(), ">"})},
          {"multi-host-uri", uri()},
          {"color", "#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})"},
          {"ipvanyaddress", join({ipv4(), "|", ipv6()})},
          {"ipv4interface", ipv4_interface()},
          {"ipv6interface", ipv6_interface()},
          {"ipvanyinterface", join({ipv4_interface(), "|", ipv6_interface()})},
          {"ipv4network", ipv4_network()},
          {"ipv6network", ipv6_network()},
          {"ipvanynetwork", join({ipv4_network(), "|", ipv6_network()})}};
}

// Binary data, what is not to be shown, and paths: whether there is such a file no grammar knows.
constexpr auto kDescriptions =
    std::to_array<std::string_view>({"binary", "password", "path", "file-path", "directory-path"});

}  // namespace

std::optional<std::string_view> format_pattern(std::string_view name) {
  static const Patterns kStandards = patterns_of_standards(), kLibraries = patterns_of_libraries();
  for (const Patterns* patterns : {&kStandards, &kLibraries}) {
    const auto found = std::ranges::find(*patterns, name, &Patterns::value_type::first);
    if (found != patterns->end()) return found->second;
  }
  return std::nullopt;
}

bool is_description(std::string_view format) {
  return std::ranges::find(kDescriptions, format) != kDescriptions.end();
}

}  // namespace cria::grammar
