// json_parts.h - the pieces that JSON texts are made of.
#pragma once

#include "base/json.h"
#include "text/grammar/expression.h"

#include <string_view>

namespace cria::grammar {

class JsonParts {
 public:
  explicit JsonParts(Expressions& to);

  // One character of a string, and any number of them.
  Expr string_character() const { return character_; }
  Expr string_characters() const { return characters_; }
  // `content` between quotes.
  Expr quoted(Expr content);
  Expr any_string() { return quoted(characters_); }
  Expr constant(const Json& value);
  // `items`: separated already, kNothing when there can be none; `empty`: whether there may be
  // none.
  Expr array(Expr items, bool empty) { return bracketed('[', items, empty, ']'); }
  Expr object(Expr members, bool empty) { return bracketed('{', members, empty, '}'); }
  // A member of an object.
  Expr member(Expr key, Expr value);
  // A comma, then `e`.
  Expr following(Expr e);
  // `e` so many times with commas between; at least once.
  Expr listed(Expr e, int32_t min, int32_t max);
  // Rules for any value and for any object.
  Expr any_value();
  Expr any_object();

 private:
  Expr bracketed(char open, Expr inner, bool empty, char close);

  Expressions& to_;
  Expr space_, character_, characters_;
  Expr any_value_ = kNothing, any_object_ = kNothing;  // made when asked for
};

}  // namespace cria::grammar
