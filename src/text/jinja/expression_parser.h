// expression_parser.h - expressions by Jinja's precedence: conditions, or, and, not, comparisons, +
// and -, ~, * and /,
// **, signs, then what stands behind a value: attributes, items, calls, filters, tests. Tests bind
// as tightly as filters.
#pragma once

#include "text/jinja/node.h"
#include "text/jinja/token_cursor.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace cria::jinja {

class ExpressionParser : protected TokenCursor {
 public:
  ExpressionParser(Program& program, std::vector<Token> tokens);

 protected:
  int name_of(std::string_view text);  // its number
  // One expression, or a tuple of them without parentheses.
  Expr tuple_or_expression(bool conditions);
  Expr expression(bool conditions = true);
  Expr filter_chain(Expr subject);  // at the name of the first filter
  Expr postfix(Expr subject, bool filters);
  Expr primary();

  // Limits what nests: brackets, signs, blocks.
  struct Nested {
    explicit Nested(ExpressionParser& parser);
    ~Nested() { --depth; }
    int& depth;
  };

  Program& program_;
  Macro* macro_ = nullptr;  // whose body is being parsed

 private:
  Expr either();
  Expr both();
  Expr negation();
  Expr comparison();
  Expr sum();
  Expr concatenation();
  Expr product();
  Expr power();
  Expr signed_value(bool filters);
  Expr value_of_name(const Token& token);
  Expr string_literal(const Token& first);
  Expr number(const Token& token);
  Expr list();
  Expr dict();
  Expr parenthesized();
  Expr subscript(Expr subject);
  Expr slice_or_expression();
  Expr filter(Expr subject);
  Expr test(Expr subject);
  void arguments(Expr& call);
  Expr make(ExprKind kind, Position at, std::vector<Expr> parts);
  Expr constant(Position at, const Value& value);
  Expr binary(Operator op, Position at, Expr left, Expr right);

  int depth_ = 0;
  std::map<std::string_view, int> numbers_;
};

}  // namespace cria::jinja
