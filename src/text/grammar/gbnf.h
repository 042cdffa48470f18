// gbnf.h - grammars as llama.cpp writes them (spec engine.md 4.3).
//
//   name ::= alternatives     | ( ) * + ? {m} {m,} {m,n}     "literal" [class] [^class] .     #
//   comment
// Escapes are \n \r \t \\ \" \[ \] \xHH \uHHHH \UHHHHHHHH. A rule goes on over lines inside of
// parentheses and behind a |. It begins at `root`.
#pragma once

#include "text/grammar/expression.h"

#include <string_view>
#include <vector>

namespace cria::grammar {

// What a parse assumes of rules, by the order in which their names appear; empty: nothing.
struct RuleFacts {
  std::vector<bool> nullable, dead;
};

// Throws Error{kInvalidInput} with the line for what is no grammar, {kUnsupported} for token
// literals, {kTooLarge} over the limits.
Expr parse_gbnf(Expressions& to, std::string_view text, const RuleFacts& facts);

}  // namespace cria::grammar
