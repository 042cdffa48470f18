#include "text/grammar/json_parts.h"

#include "text/grammar/characters.h"
#include "text/grammar/numbers.h"
#include "text/grammar/schema_keywords.h"

#include <algorithm>
#include <array>

namespace cria::grammar {

JsonParts::JsonParts(Expressions& to) : to_(to) {
  constexpr int32_t kMostIndentation = 20;
  Bytes indentation;
  indentation.set(' ').set('\t');
  const Expr lines = to.sequence(to.repeat(to.literal("\n"), 1, 2),
                                 to.repeat(to.bytes(indentation), 0, kMostIndentation));
  space_ = to.optional(to.choice(to.literal(" "), lines));
  character_ = character(to, complement({}), Spelling::kJson);
  characters_ = to.repeat(character_, 0, kNoLimit);
}

Expr JsonParts::quoted(Expr content) {
  const Expr quote = to_.literal("\"");
  return to_.group(to_.sequence(std::array{quote, content, quote}));
}

Expr JsonParts::constant(const Json& value) {
  return to_.literal(dump_json(canonical(value)));
}

Expr JsonParts::bracketed(char open, Expr inner, bool empty, char close) {
  Expr body = to_.sequence(inner, space_);
  if (empty) body = to_.optional(body);
  return to_.sequence(std::array{to_.literal(std::string_view(&open, 1)), space_, body,
                                 to_.literal(std::string_view(&close, 1))});
}

Expr JsonParts::member(Expr key, Expr value) {
  return to_.sequence(std::array{key, to_.literal(":"), space_, value});
}

Expr JsonParts::following(Expr e) {
  return to_.sequence(std::array{to_.literal(","), space_, e});
}

Expr JsonParts::listed(Expr e, int32_t min, int32_t max) {
  const int32_t more = max == kNoLimit ? kNoLimit : max - 1;
  return to_.sequence(e, to_.repeat(following(e), std::max(min - 1, 0), more));
}

Expr JsonParts::any_value() {
  if (any_value_ != kNothing) return any_value_;
  any_value_ = to_.declare_rule(false);
  const Expr items = array(listed(any_value_, 1, kNoLimit), true);
  to_.define_rule(any_value_, to_.choice(std::array{any_object(), items, any_string(),
                                                    to_.group(number(to_, {})), to_.literal("true"),
                                                    to_.literal("false"), to_.literal("null")}));
  return any_value_;
}

Expr JsonParts::any_object() {
  if (any_object_ != kNothing) return any_object_;
  any_object_ = to_.declare_rule(false);
  const Expr members = listed(member(any_string(), any_value()), 1, kNoLimit);
  to_.define_rule(any_object_, object(members, true));
  return any_object_;
}

}  // namespace cria::grammar
