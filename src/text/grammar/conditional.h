// conditional.h - `if`, `then` and `else` of a schema as a choice between schemas.
#pragma once

#include "base/json.h"

#include <functional>
#include <string>

namespace cria::grammar {

struct Conditional {
  Json condition = true, then = true, otherwise = true;
  std::string place;  // of the schema that holds them
};

// A schema without $ref, allOf and conditions of its own that allows the same.
using Flatten = std::function<Json(const Json&)>;

// What the condition asks for beside values that `base` (flat) allows: an anyOf of "if and then"
// and of all ways to break the condition, each with "else". Throws Error{kUnsupported} for a
// condition whose opposite no keyword says: it may speak of types, required keys, and constants
// among those that `base` lists.
Json as_choice(const Conditional& conditional, const Json& base, const Flatten& flat);

}  // namespace cria::grammar
