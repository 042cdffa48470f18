// functions.h - the functions a template may call: Go's own and Ollama's.
#pragma once

#include "text/template/node.h"

#include <span>
#include <string_view>

namespace cria::text {

struct Call {
  Position at;
  size_t limit;  // bytes of text a result may have
  std::string_view name;
};

struct Function {
  std::string_view name;
  size_t least, most;    // arguments
  bool first_is_string;  // Go's signature demands it
  Value (*run)(const Call& call, std::span<const Value> arguments);
};

// Null when there is none. "and" and "or" are listed but run by the executor: they short-circuit.
const Function* find_function(std::string_view name);
inline bool is_function(std::string_view name) {
  return find_function(name) != nullptr;
}

}  // namespace cria::text
