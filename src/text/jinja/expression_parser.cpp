#include "text/jinja/expression_parser.h"

#include "base/error.h"
#include "text/jinja/strings.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace cria::jinja {

namespace {

constexpr int kMaxNesting = 100;  // of brackets and blocks
constexpr int kMaxDepth = 200;    // of an expression's tree: 1 + 1 + 1 ... nests, too

struct OperatorRow {
  std::string_view text;
  Operator op;
};

constexpr std::array kComparisons = {
    OperatorRow{"==", Operator::kEqual},  OperatorRow{"!=", Operator::kNotEqual},
    OperatorRow{"<", Operator::kLess},    OperatorRow{"<=", Operator::kLessEqual},
    OperatorRow{">", Operator::kGreater}, OperatorRow{">=", Operator::kGreaterEqual},
};
constexpr std::array kProducts = {
    OperatorRow{"*", Operator::kMultiply},
    OperatorRow{"/", Operator::kDivide},
    OperatorRow{"//", Operator::kFloorDivide},
    OperatorRow{"%", Operator::kModulo},
};

template <class Table>
const OperatorRow* row_of(const Table& table, const Token& token) {
  if (token.kind != TokenKind::kOperator) return nullptr;
  const auto found = std::ranges::find(table, token.text, &OperatorRow::text);
  return found == table.end() ? nullptr : &*found;
}

template <class... Parts>
std::vector<Expr> parts_of(Parts&&... parts) {
  std::vector<Expr> list;
  list.reserve(sizeof...(parts));
  (list.push_back(std::forward<Parts>(parts)), ...);
  return list;
}

}  // namespace

ExpressionParser::ExpressionParser(Program& program, std::vector<Token> tokens)
    : TokenCursor(std::move(tokens)), program_(program) {}

ExpressionParser::Nested::Nested(ExpressionParser& parser) : depth(parser.depth_) {
  if (depth >= kMaxNesting)
    syntax_error(parser.peek().at, fmt::format("nested deeper than {} levels", kMaxNesting));
  ++depth;
}

int ExpressionParser::name_of(std::string_view text) {
  const auto [it, added] = numbers_.try_emplace(text, static_cast<int>(program_.names.size()));
  if (added) program_.names.push_back(text);
  return it->second;
}

Expr ExpressionParser::make(ExprKind kind, Position at, std::vector<Expr> parts) {
  Expr e{.kind = kind, .at = at};
  for (const Expr& part : parts) e.depth = std::max(e.depth, part.depth + 1);
  if (e.depth > kMaxDepth) syntax_error(at, "the expression is too long");
  e.parts = std::move(parts);
  return e;
}

Expr ExpressionParser::constant(Position at, const Value& value) {
  return {.kind = ExprKind::kConstant, .at = at, .constant = value};
}

Expr ExpressionParser::binary(Operator op, Position at, Expr left, Expr right) {
  Expr e = make(ExprKind::kBinary, at, parts_of(std::move(left), std::move(right)));
  e.operators = {op};
  return e;
}

Expr ExpressionParser::tuple_or_expression(bool conditions) {
  const Position at = peek().at;
  std::vector<Expr> parts = parts_of(expression(conditions));
  if (!at_operator(",")) return std::move(parts[0]);
  while (take_operator(",")) {
    const Token& token = peek();
    const bool ends = token.kind == TokenKind::kBlockEnd || token.kind == TokenKind::kOutputEnd ||
                      at_operator(")");
    if (ends) break;
    parts.push_back(expression(conditions));
  }
  return make(ExprKind::kTuple, at, std::move(parts));
}

Expr ExpressionParser::expression(bool conditions) {
  const Nested nested(*this);
  Expr value = either();
  while (conditions && at_name("if")) {
    const Position at = next().at;
    Expr test = either();
    Expr otherwise = take_name("else") ? expression() : constant(at, Value::undefined("else"));
    value = make(ExprKind::kCondition, at,
                 parts_of(std::move(value), std::move(test), std::move(otherwise)));
  }
  return value;
}

Expr ExpressionParser::either() {
  const Position at = peek().at;
  Expr first = both();
  if (!at_name("or")) return first;
  std::vector<Expr> parts = parts_of(std::move(first));
  while (take_name("or")) parts.push_back(both());
  return make(ExprKind::kOr, at, std::move(parts));
}

Expr ExpressionParser::both() {
  const Position at = peek().at;
  Expr first = negation();
  if (!at_name("and")) return first;
  std::vector<Expr> parts = parts_of(std::move(first));
  while (take_name("and")) parts.push_back(negation());
  return make(ExprKind::kAnd, at, std::move(parts));
}

Expr ExpressionParser::negation() {
  if (!at_name("not")) return comparison();
  const Nested nested(*this);
  const Position at = next().at;
  return make(ExprKind::kNot, at, parts_of(negation()));
}

Expr ExpressionParser::comparison() {
  const Position at = peek().at;
  std::vector<Expr> parts = parts_of(sum());
  std::vector<Operator> operators;
  while (true) {
    if (const OperatorRow* row = row_of(kComparisons, peek())) {
      next();
      operators.push_back(row->op);
    } else if (take_name("in")) {
      operators.push_back(Operator::kIn);
    } else if (at_name("not") && peek(1).kind == TokenKind::kName && peek(1).text == "in") {
      next();
      next();
      operators.push_back(Operator::kNotIn);
    } else {
      break;
    }
    parts.push_back(sum());
  }
  if (operators.empty()) return std::move(parts[0]);
  Expr e = make(ExprKind::kCompare, at, std::move(parts));
  e.operators = std::move(operators);
  return e;
}

Expr ExpressionParser::sum() {
  Expr left = concatenation();
  while (at_operator("+") || at_operator("-")) {
    const Token token = next();
    left = binary(token.text == "+" ? Operator::kAdd : Operator::kSubtract, token.at,
                  std::move(left), concatenation());
  }
  return left;
}

Expr ExpressionParser::concatenation() {
  const Position at = peek().at;
  Expr first = product();
  if (!at_operator("~")) return first;
  std::vector<Expr> parts = parts_of(std::move(first));
  while (take_operator("~")) parts.push_back(product());
  return make(ExprKind::kConcat, at, std::move(parts));
}

Expr ExpressionParser::product() {
  Expr left = power();
  while (const OperatorRow* row = row_of(kProducts, peek())) {
    const Position at = next().at;
    left = binary(row->op, at, std::move(left), power());
  }
  return left;
}

Expr ExpressionParser::power() {
  Expr left = signed_value(true);
  while (at_operator("**")) {
    const Position at = next().at;
    left = binary(Operator::kPower, at, std::move(left), signed_value(true));
  }
  return left;
}

Expr ExpressionParser::signed_value(bool filters) {
  const Position at = peek().at;
  if (!at_operator("-") && !at_operator("+")) return postfix(primary(), filters);
  const Nested nested(*this);
  const bool minus = next().text == "-";
  Expr e = make(minus ? ExprKind::kNegate : ExprKind::kPlus, at, parts_of(signed_value(false)));
  return postfix(std::move(e), filters);
}

Expr ExpressionParser::primary() {
  const Token token = peek();
  switch (token.kind) {
    case TokenKind::kName:
      return value_of_name(next());
    case TokenKind::kString:
      return string_literal(next());
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return number(next());
    default:
      break;
  }
  if (take_operator("(")) return parenthesized();
  if (take_operator("[")) return list();
  if (take_operator("{")) return dict();
  unexpected("an expression");
}

Expr ExpressionParser::value_of_name(const Token& token) {
  const std::string_view text = token.text;
  if (text == "true" || text == "True") return constant(token.at, Value::boolean(true));
  if (text == "false" || text == "False") return constant(token.at, Value::boolean(false));
  if (text == "none" || text == "None") return constant(token.at, Value::none());
  if (macro_ != nullptr) {
    if (text == "caller") macro_->reads_caller = true;
    if (text == "varargs") macro_->reads_varargs = true;
    if (text == "kwargs") macro_->reads_kwargs = true;
  }
  return {.kind = ExprKind::kName, .at = token.at, .text = text, .name = name_of(text)};
}

Expr ExpressionParser::string_literal(const Token& first) {
  std::string text = unescaped(first);
  while (peek().kind == TokenKind::kString) text += unescaped(next());
  return constant(first.at, program_.constants.text(text));
}

Expr ExpressionParser::number(const Token& token) {
  std::string digits(token.text);
  std::erase(digits, '_');
  if (token.kind == TokenKind::kFloat) {
    double d = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), d);
    return constant(token.at, Value::number(d));
  }
  int base = 10;
  if (digits.size() > 2 && digits[0] == '0' && digits[1] > '9') {
    base = digits[1] == 'x' ? 16 : digits[1] == 'o' ? 8 : 2;
    digits.erase(0, 2);
  }
  int64_t value = 0;
  const auto end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value, base);
  if (error != std::errc() || stop != end)
    syntax_error(token.at, fmt::format("\"{}\" is no integer of 64 bits", token.text));
  return constant(token.at, Value::integer(value));
}

Expr ExpressionParser::parenthesized() {
  const Position at = peek().at;
  if (take_operator(")")) return make(ExprKind::kTuple, at, {});
  Expr e = tuple_or_expression(true);
  expect_operator(")");
  return e;
}

Expr ExpressionParser::list() {
  const Position at = peek().at;
  std::vector<Expr> items;
  while (!take_operator("]")) {
    if (!items.empty()) {
      expect_operator(",");
      if (take_operator("]")) break;
    }
    items.push_back(expression());
  }
  return make(ExprKind::kList, at, std::move(items));
}

Expr ExpressionParser::dict() {
  const Position at = peek().at;
  std::vector<Expr> items;
  while (!take_operator("}")) {
    if (!items.empty()) {
      expect_operator(",");
      if (take_operator("}")) break;
    }
    items.push_back(expression());
    expect_operator(":");
    items.push_back(expression());
  }
  return make(ExprKind::kDict, at, std::move(items));
}

Expr ExpressionParser::postfix(Expr subject, bool filters) {
  while (true) {
    const Position at = peek().at;
    if (take_operator(".")) {
      const Token name = next();
      if (name.kind == TokenKind::kName) {
        subject = make(ExprKind::kAttribute, at, parts_of(std::move(subject)));
        subject.text = name.text;
      } else if (name.kind == TokenKind::kInteger) {
        subject = make(ExprKind::kItem, at, parts_of(std::move(subject), number(name)));
      } else {
        syntax_error(name.at, "expected a name or a number behind \".\"");
      }
    } else if (take_operator("[")) {
      subject = subscript(std::move(subject));
      subject.at = at;
    } else if (take_operator("(")) {
      subject = make(ExprKind::kCall, at, parts_of(std::move(subject)));
      arguments(subject);
    } else if (filters && take_operator("|")) {
      subject = filter(std::move(subject));
    } else if (filters && take_name("is")) {
      subject = test(std::move(subject));
    } else {
      return subject;
    }
  }
}

Expr ExpressionParser::subscript(Expr subject) {
  const Position at = peek().at;
  std::vector<Expr> indices = parts_of(slice_or_expression());
  while (take_operator(",")) indices.push_back(slice_or_expression());
  expect_operator("]");
  Expr index =
      indices.size() == 1 ? std::move(indices[0]) : make(ExprKind::kTuple, at, std::move(indices));
  return make(ExprKind::kItem, at, parts_of(std::move(subject), std::move(index)));
}

Expr ExpressionParser::slice_or_expression() {
  const Position at = peek().at;
  const auto absent = [&] { return at_operator(":") || at_operator("]") || at_operator(","); };
  Expr first = absent() ? constant(at, Value::none()) : expression();
  if (!take_operator(":")) {
    if (first.constant.is(Kind::kNone) && peek().at.column == at.column &&
        peek().at.line == at.line)
      unexpected("an index");
    return first;
  }
  Expr second = absent() ? constant(at, Value::none()) : expression();
  Expr third = constant(at, Value::none());
  if (take_operator(":") && !absent()) third = expression();
  return make(ExprKind::kSlice, at,
              parts_of(std::move(first), std::move(second), std::move(third)));
}

Expr ExpressionParser::filter_chain(Expr subject) {
  subject = filter(std::move(subject));
  while (take_operator("|")) subject = filter(std::move(subject));
  return subject;
}

Expr ExpressionParser::filter(Expr subject) {
  const Position at = peek().at;
  Expr e = make(ExprKind::kFilter, at, parts_of(std::move(subject)));
  e.text = expect_identifier();
  e.routine = find_filter(e.text);
  if (take_operator("(")) arguments(e);
  return e;
}

Expr ExpressionParser::test(Expr subject) {
  const bool negated = take_name("not");
  const Position at = peek().at;
  Expr e = make(ExprKind::kTest, at, parts_of(std::move(subject)));
  e.text = expect_identifier();
  e.routine = find_test(e.text);
  const Token& token = peek();
  const bool argument_follows =
      token.kind == TokenKind::kString || token.kind == TokenKind::kInteger ||
      token.kind == TokenKind::kFloat || at_operator("[") || at_operator("{") ||
      (token.kind == TokenKind::kName && !at_name("else") && !at_name("or") && !at_name("and"));
  if (take_operator("(")) {
    arguments(e);
  } else if (argument_follows) {
    if (at_name("is")) syntax_error(token.at, "tests with \"is\" do not chain");
    Expr argument = postfix(primary(), false);
    e.depth = std::max(e.depth, argument.depth + 1);
    e.parts.push_back(std::move(argument));
  }
  return negated ? make(ExprKind::kNot, at, parts_of(std::move(e))) : std::move(e);
}

// What stands between the parentheses of a call, a filter or a test.
void ExpressionParser::arguments(Expr& call) {
  const size_t first = call.parts.size();
  while (!take_operator(")")) {
    if (call.parts.size() > first) {
      expect_operator(",");
      if (take_operator(")")) break;
    }
    if (at_operator("*") || at_operator("**"))
      syntax_error(peek().at, "arguments with \"*\" are not supported");
    const Token& after = peek(1);
    if (peek().kind == TokenKind::kName && after.kind == TokenKind::kOperator &&
        after.text == "=") {
      call.keywords.push_back(next().text);
      next();
    } else if (!call.keywords.empty()) {
      unexpected("an argument with a name");
    }
    call.parts.push_back(expression());
    call.depth = std::max(call.depth, call.parts.back().depth + 1);
  }
  if (call.depth > kMaxDepth) syntax_error(call.at, "the expression is too long");
}

}  // namespace cria::jinja
