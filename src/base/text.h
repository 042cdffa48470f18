// text.h - small things with text that several layers need.
#pragma once

#include <string>
#include <string_view>

namespace cria {

// ASCII letters only, whatever the locale.
std::string lower_case(std::string_view text);

}  // namespace cria
