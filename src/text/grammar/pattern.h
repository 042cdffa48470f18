// pattern.h - regular expressions, as JSON Schema and `format` write them (ECMA-262, mode u).
//
// Literals, ., classes, \d \w \s and their negations, escapes, groups, |, * + ? {m,n} (lazy ones
// match the same texts), ^ and $ at the ends of a whole alternative. Everything else (look-around,
// back references, \b, \p{...}) is refused by name.
#pragma once

#include "text/grammar/characters.h"
#include "text/grammar/expression.h"

#include <string_view>

namespace cria::grammar {

// kAnywhere: the pattern may match in the middle of a text, as in JSON Schema; ^ and $ say where.
enum class Match { kWhole, kAnywhere };

// Throws Error{kInvalidInput} for what is no pattern, with the position; {kUnsupported} naming what
// is not supported; {kTooLarge} over the limits.
Expr compile_pattern(Expressions& to, std::string_view pattern, Match match, Spelling spelling);

}  // namespace cria::grammar
