// whole_formats.h - all that the standard of a "format" allows, as patterns.
//
// For constants that a schema's author wrote. What a model writes keeps to string_formats.h, which
// allows fewer texts, and those that readers of all kinds understand.
#pragma once

#include <optional>
#include <string_view>

namespace cria::grammar {

// Of formats whose patterns in string_formats.h leave out some of what RFC 3339, 3986, 3987, 4291,
// 5321, 6531, 6570 and 1123 allow; the lengths of a whole host name and mailbox are not looked at.
std::optional<std::string_view> whole_format_pattern(std::string_view name);

}  // namespace cria::grammar
