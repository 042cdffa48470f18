// width.h - how many terminal columns a text takes (UTF-8, wide and combining characters).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cria::cli {

size_t display_width(std::string_view utf8);
// The bytes of the character at the start of `utf8`; 1 for a broken one, 0 when it is cut off.
size_t character_length(std::string_view utf8);

}  // namespace cria::cli
