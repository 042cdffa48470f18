// list_filters.h - filters that go through lists and dicts.
#pragma once

#include "text/jinja/routine.h"

#include <string_view>

namespace cria::jinja {

const Routine* find_list_filter(std::string_view name);

}  // namespace cria::jinja
