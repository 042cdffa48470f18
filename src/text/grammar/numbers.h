// numbers.h - the decimal spellings of numbers within bounds.
#pragma once

#include "base/json.h"
#include "text/grammar/expression.h"

#include <optional>
#include <string_view>
#include <vector>

namespace cria::grammar {

struct Bound {
  Json value;  // a number
  bool strict = false;
};

struct NumberRange {
  bool whole = false;
  std::optional<Bound> least, most;
  std::vector<Json> multiple_of;  // of all of them
};

// What the keywords of a schema say of numbers.
NumberRange number_range(const Json& schema, bool whole);
// Up to 20 digits on each side of the point. Free numbers may have an exponent of two digits, which
// no bound can do exactly: with bounds there is none. Throws Error{kUnsupported} for a bound with
// an exponent or of more than 20 digits.
// Multiples have up to 15 digits, as many as floating point holds: validators divide in it. For the
// same reason their divisors are whole numbers or binary fractions (0.25; but 0.01 divides 0.07 by
// arithmetic alone); others throw Error{kUnsupported}, as do those of many remainders.
Expr number(Expressions& to, const NumberRange& range);
// The integers of a "format" that OpenAPI and the generators of Rust and Go write: int8 to uint64.
std::optional<NumberRange> integer_format(std::string_view name);

}  // namespace cria::grammar
