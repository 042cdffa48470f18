// schema.h - the JSON texts that a JSON schema (draft 2020-12) allows.
//
// No text that it matches breaks the schema. What it does not match though the schema allows it:
//   - keys in another order than that of `properties` (then what `required` alone names, then
//     others); undeclared keys where there are `properties` but no `additionalProperties`;
//   - values of types that a schema without `type` has no keyword for ({"minLength": 2} means
//     strings);
//   - white space other than " " or one or two line ends and 20 characters of indentation, behind
//     { [ : , and before } ]; constants with white space;
//   - objects that reach minProperties by more than one undeclared key, as those might be the same;
//   - other spellings of strings (characters.h) and numbers (numbers.h).
// A keyword or a combination that cannot be kept exactly is refused, Error{kUnsupported} naming it
// and its place. Annotations (title, description, default, ...) are accepted.
#pragma once

#include "base/json.h"
#include "text/grammar/expression.h"

#include <vector>

namespace cria::grammar {

// `dead` says which rules, by the order in which they are declared, match no text at all: nothing
// leads into them. Throws Error{kInvalidInput} for what is no schema, {kUnsupported}, {kTooLarge}.
Expr compile_schema(Expressions& to, const Json& schema, const std::vector<bool>& dead);
// Any JSON object.
Expr any_object(Expressions& to);

}  // namespace cria::grammar
