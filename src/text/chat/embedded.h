// embedded.h - files that cmake/embed.cmake made part of the program.
#pragma once

#include <string_view>

namespace cria::embedded {

struct File {
  std::string_view name, content;
};

extern const File kBuiltinTemplates[];  // ended by an empty name

}  // namespace cria::embedded
