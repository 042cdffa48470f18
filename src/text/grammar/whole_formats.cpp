#include "text/grammar/whole_formats.h"

#include "text/grammar/string_formats.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace cria::grammar {
namespace {

std::string join(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (const std::string_view part : parts) out += part;
  return out;
}

std::string pattern_of(std::string_view format) {
  return std::string(format_pattern(format).value_or(""));
}

// Characters beyond ASCII, for a class: ucschar of RFC 3987.
constexpr std::string_view kBeyond =
    "\\u00a0-\\ud7ff\\uf900-\\ufdcf\\ufdf0-\\uffef\\u{10000}-\\u{efffd}";
constexpr std::string_view kEscaped = "%[0-9a-fA-F]{2}";

std::string ipv6() {
  constexpr std::string_view kGroup = "[0-9a-fA-F]{1,4}";
  std::string out = join({pattern_of("ipv6"), "|(?:", kGroup, ":){6}", pattern_of("ipv4")});
  for (int before = 0; before <= 5; ++before) {  // groups before ::, and an IPv4 address at the end
    out += '|';
    if (before > 0) out += join({kGroup, "(?::", kGroup, "){", std::to_string(before - 1), "}"});
    out += join({"::(?:", kGroup, ":){0,", std::to_string(5 - before), "}", pattern_of("ipv4")});
  }
  return out;
}

std::string host(std::string_view beyond) {
  const std::string end = join({"[a-zA-Z0-9", beyond, "]"});
  const std::string label = join({end, "(?:[a-zA-Z0-9", beyond, "-]{0,61}", end, ")?"});
  return join({label, "(?:\\.", label, ")*"});
}

std::string email(std::string_view beyond) {
  const std::string atom = join({"[a-zA-Z0-9!#$%&'*+/=?^_`{|}~", beyond, "-]+"});
  return join({"(?:", atom, "(?:\\.", atom, ")*|\"(?:[ !#-\\[\\]-~", beyond, "]|\\\\[ -~])*\")@(?:",
               host(beyond), "|\\[(?:", pattern_of("ipv4"), "|IPv6:(?:", ipv6(), "))\\])"});
}

// What URIs, or IRIs, are made of.
struct Identifier {
  explicit Identifier(std::string_view beyond) {
    const std::string plain = join({"a-zA-Z0-9._~!$&'()*+,;=", beyond});
    const auto any_of = [&](std::string_view more) {
      return join({"(?:[", plain, more, "-]|", kEscaped, ")"});
    };
    const std::string part = any_of(":@");
    const std::string authority =
        join({"(?:", any_of(":"), "*@)?(?:\\[(?:", ipv6(), "|v[0-9a-fA-F]+\\.[", plain, ":-]+)\\]|",
              any_of(""), "*)(?::[0-9]*)?"});
    const std::string parts = join({"(?:/", part, "*)*"});
    const std::string place = join({"//", authority, parts, "|/(?:", part, "+", parts, ")?"});
    end = join({"(?:\\?", any_of(":@/?"), "*)?(?:#", any_of(":@/?"), "*)?"});
    absolute = join({"[a-zA-Z][a-zA-Z0-9+.-]*:(?:", place, "|", part, "+", parts, "|)", end});
    relative = join({"(?:", place, "|", any_of("@"), "+", parts, "|)", end});
  }
  std::string reference() const { return join({absolute, "|", relative}); }

  std::string end, absolute, relative;
};

std::string time() {
  constexpr std::string_view kOffset = "(?:[Zz]|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)";
  constexpr std::string_view kFraction = "(?:\\.\\d+)?";
  // A leap second, as it is written in UTC.
  return join({"(?:(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d", kFraction, kOffset, "|23:59:60",
               kFraction, "(?:[Zz]|[+-]00:00))"});
}

std::string duration() {
  constexpr std::string_view kDays = "(?:\\d+Y(?:\\d+M(?:\\d+D)?)?|\\d+M(?:\\d+D)?|\\d+D)";
  constexpr std::string_view kTime = "T(?:\\d+H(?:\\d+M(?:\\d+S)?)?|\\d+M(?:\\d+S)?|\\d+S)";
  return join({"P(?:", kDays, "(?:", kTime, ")?|", kTime, "|\\d+W)"});
}

std::string uri_template() {
  const std::string character = join({"(?:[a-zA-Z0-9_]|", kEscaped, ")"});
  const std::string variable =
      join({character, "+(?:\\.", character, "+)*(?::[1-9]\\d{0,3}|\\*)?"});
  return join({"(?:[!#$&(-;=?-\\[\\]_a-z~", kBeyond, "]|", kEscaped, "|\\{[+#./;?&=,!@|]?",
               variable, "(?:,", variable, ")*\\})*"});
}

std::string relative_json_pointer() {
  return join({"(?:0|[1-9]\\d*)(?:[+-][1-9]\\d*)?(?:#|", pattern_of("json-pointer"), ")"});
}

using Patterns = std::vector<std::pair<std::string_view, std::string>>;

Patterns make_patterns() {
  const Identifier uri(""), iri(kBeyond);
  return {{"time", time()},
          {"date-time", join({pattern_of("date"), "[Tt]", time()})},
          {"duration", duration()},
          {"email", email("")},
          {"idn-email", email(kBeyond)},
          {"hostname", host("")},
          {"idn-hostname", host(kBeyond)},
          {"ipv6", ipv6()},
          {"ipvanyaddress", join({pattern_of("ipv4"), "|", ipv6()})},
          {"uri", uri.absolute},
          {"iri", iri.absolute},
          {"uri-reference", uri.reference()},
          {"iri-reference", iri.reference()},
          {"uri-template", uri_template()},
          {"relative-json-pointer", relative_json_pointer()}};
}

}  // namespace

std::optional<std::string_view> whole_format_pattern(std::string_view name) {
  static const Patterns kPatterns = make_patterns();
  const auto found = std::ranges::find(kPatterns, name, &Patterns::value_type::first);
  if (found == kPatterns.end()) return std::nullopt;
  return found->second;
}

}  // namespace cria::grammar
