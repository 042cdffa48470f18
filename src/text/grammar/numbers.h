// numbers.h - the decimal spellings of numbers within bounds.
#pragma once

#include "base/json.h"
#include "text/grammar/expression.h"

#include <optional>
#include <string_view>

namespace cria::grammar {

struct Bound {
  Json value;  // a number
  bool strict = false;
};

struct NumberRange {
  bool whole = false;
  std::optional<Bound> least, most;
};

// Up to 20 digits on each side of the point. Free numbers may have an exponent of two digits, which
// no bound can do exactly: with bounds there is none. Throws Error{kUnsupported} for a bound with
// an exponent or of more than 20 digits.
Expr number(Expressions& to, const NumberRange& range);
// The integers of a "format" that OpenAPI and the generators of Rust and Go write: int8 to uint64.
std::optional<NumberRange> integer_format(std::string_view name);

}  // namespace cria::grammar
