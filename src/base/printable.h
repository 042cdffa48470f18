// printable.h - text that came from elsewhere, made harmless for a terminal or a log.
#pragma once

#include <string>
#include <string_view>

namespace cria {

// Control characters (U+0000-1F, U+007F-9F), with which text could steer a terminal, as \n, \t,
// \x1b or \u009b. Those in `keep` and everything else stay as they are; with '\n' in it "\r\n"
// becomes "\n".
std::string printable(std::string_view text, std::string_view keep = "\n\t");

}  // namespace cria
