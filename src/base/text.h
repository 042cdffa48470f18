// text.h - small things with text that several layers need.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace cria {

// ASCII letters only, whatever the locale.
std::string lower_case(std::string_view text);
// What a stranger wrote, for an error message: at most `max` bytes, control characters (which could
// steer a terminal) as spaces.
std::string one_line(std::string_view text, size_t max = 500);

// A relative path with slashes and without "." or "..": it leads nowhere but below its folder.
bool is_plain_path(std::string_view path);

}  // namespace cria
