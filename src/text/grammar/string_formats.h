// string_formats.h - what "format" in a JSON schema means, as patterns.
#pragma once

#include <string_view>

namespace cria::grammar {

// A pattern for a whole string; empty for a name that is not known. Each allows no text that its
// standard forbids (RFC 3339, 4122, 5321, 3986, 4291, 1123; ISO 8601 for durations), but not always
// all that it allows: no seconds of 60, no quoted mailbox, no IPv6 address with an IPv4 one inside.
std::string_view format_pattern(std::string_view name);

}  // namespace cria::grammar
