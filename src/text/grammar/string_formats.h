// string_formats.h - what "format" in a JSON schema means, as patterns.
#pragma once

#include <optional>
#include <string_view>

namespace cria::grammar {

// A pattern for a whole string, of the formats of draft 2020-12 and those that pydantic and OpenAPI
// write. Each allows no text that its standard forbids (RFC 3339, 4122, 5321, 3986, 6570, 6901,
// 4648, 4291, 1123; ISO 8601 for durations), but not always all that it allows: no seconds of 60,
// no quoted mailbox, no IPv6 address with an IPv4 one inside, of the international ones those in
// ASCII.
std::optional<std::string_view> format_pattern(std::string_view name);
// Whether it says to a reader what a string is for, and nothing about its text.
bool is_description(std::string_view format);

}  // namespace cria::grammar
