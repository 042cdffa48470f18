#include "text/jinja/parser.h"

#include "base/error.h"
#include "text/jinja/expression_parser.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <utility>

namespace cria::jinja {

namespace {

constexpr size_t kMaxSource = size_t{4} << 20;  // bytes; published templates have up to 40 kB

class Parser : ExpressionParser {
 public:
  Parser(Program& program, std::vector<Token> tokens)
      : ExpressionParser(program, std::move(tokens)) {
    program_.loop = name_of("loop");
    program_.caller = name_of("caller");
    program_.varargs = name_of("varargs");
    program_.kwargs = name_of("kwargs");
  }

  void run() {
    program_.root = nodes({});
    if (peek().kind != TokenKind::kEnd) unexpected("the end of the template");
  }

 private:
  using Ends = std::initializer_list<std::string_view>;

  // Up to a tag that begins with one of `ends`, which stays: or to the end of the template.
  Nodes nodes(Ends ends) {
    const Nested nested(*this);
    Nodes list;
    while (peek().kind != TokenKind::kEnd) {
      const Token token = peek();
      if (token.kind == TokenKind::kData) {
        next();
        list.push_back({.kind = NodeKind::kData, .at = token.at, .text = token.text});
      } else if (token.kind == TokenKind::kOutputBegin) {
        list.push_back(output());
      } else {
        const std::string_view word = peek(1).kind == TokenKind::kName ? peek(1).text : "";
        if (std::ranges::find(ends, word) != ends.end()) return list;
        next();
        list.push_back(statement());
      }
    }
    if (ends.size() != 0) syntax_error(peek().at, fmt::format("\"{}\" is missing", *ends.begin()));
    return list;
  }

  Node output() {
    Node node{.kind = NodeKind::kOutput, .at = next().at};
    node.exprs.push_back(tuple_or_expression(true));
    if (peek().kind != TokenKind::kOutputEnd) unexpected("\"}}\"");
    next();
    return node;
  }

  void end_tag() {
    if (peek().kind != TokenKind::kBlockEnd) unexpected("\"%}\"");
    next();
  }

  // A body and the tag behind it: {% end %}.
  Nodes body(std::string_view end) {
    end_tag();
    Nodes list = nodes({end});
    close(end);
    return list;
  }

  void close(std::string_view end) {
    next();
    expect_name(end);
    end_tag();
  }

  Node statement() {
    struct Row {
      std::string_view word;
      Node (Parser::*parse)(Position at);
    };
    static constexpr std::array kStatements = {
        Row{"if", &Parser::if_statement},       Row{"for", &Parser::for_statement},
        Row{"set", &Parser::set_statement},     Row{"macro", &Parser::macro_statement},
        Row{"call", &Parser::call_statement},   Row{"filter", &Parser::filter_statement},
        Row{"with", &Parser::with_statement},   Row{"generation", &Parser::generation_statement},
        Row{"break", &Parser::break_statement}, Row{"continue", &Parser::continue_statement},
    };
    if (peek().kind != TokenKind::kName) unexpected("a statement");
    const auto row = std::ranges::find(kStatements, peek().text, &Row::word);
    if (row == kStatements.end())
      syntax_error(peek().at, fmt::format("unknown statement \"{}\"", peek().text));
    return (this->*row->parse)(next().at);
  }

  Node if_statement(Position at) {
    Node node{.kind = NodeKind::kIf, .at = at};
    while (true) {
      node.exprs.push_back(tuple_or_expression(false));
      end_tag();
      node.bodies.push_back(nodes({"endif", "elif", "else"}));
      next();
      if (!take_name("elif")) break;
    }
    if (take_name("else")) {
      end_tag();
      node.bodies.push_back(nodes({"endif"}));
      next();
    }
    expect_name("endif");
    end_tag();
    return node;
  }

  Node for_statement(Position at) {
    Node node{.kind = NodeKind::kFor, .at = at};
    node.targets.push_back(target());
    expect_name("in");
    node.exprs.push_back(tuple_or_expression(false));
    if (take_name("if")) node.exprs.push_back(expression());
    if (at_name("recursive")) syntax_error(peek().at, "recursive loops are not supported");
    end_tag();
    ++loops_;
    node.bodies.push_back(nodes({"endfor", "else"}));
    --loops_;
    next();
    if (take_name("else")) {
      end_tag();
      node.bodies.push_back(nodes({"endfor"}));
      next();
    }
    expect_name("endfor");
    end_tag();
    return node;
  }

  Node break_statement(Position at) { return leave_loop(NodeKind::kBreak, at); }
  Node continue_statement(Position at) { return leave_loop(NodeKind::kContinue, at); }

  Node leave_loop(NodeKind kind, Position at) {
    if (loops_ == 0) syntax_error(at, "not inside a loop");
    end_tag();
    return {.kind = kind, .at = at};
  }

  Node set_statement(Position at) {
    Node node{.kind = NodeKind::kSet, .at = at};
    node.targets.push_back(target());
    if (take_operator("=")) {
      node.exprs.push_back(tuple_or_expression(true));
      end_tag();
      return node;
    }
    node.kind = NodeKind::kSetBlock;
    if (node.targets[0].tuple) unexpected("\"=\"");
    if (take_operator("|")) node.exprs.push_back(filter_chain({.kind = ExprKind::kBody, .at = at}));
    node.bodies.push_back(body("endset"));
    return node;
  }

  Target target() {
    const Nested nested(*this);
    const Position at = peek().at;
    std::vector<Target> parts;
    bool tuple = false;
    do {
      if (!parts.empty() && (at_operator("=") || at_name("in") || at_operator(")"))) break;
      parts.push_back(single_target());
      tuple = tuple || at_operator(",");
    } while (take_operator(","));
    if (!tuple) return std::move(parts[0]);
    return {.parts = std::move(parts), .tuple = true, .at = at};
  }

  Target single_target() {
    const Position at = peek().at;
    if (take_operator("(")) {
      Target inner = target();
      expect_operator(")");
      return inner;
    }
    Target single{.name = variable(), .at = at};
    if (take_operator(".")) single.attribute = expect_identifier();
    return single;
  }

  int variable() {
    constexpr std::array<std::string_view, 6> kReserved = {"true", "false", "none",
                                                           "True", "False", "None"};
    if (std::ranges::find(kReserved, peek().text) != kReserved.end())
      syntax_error(peek().at, fmt::format("cannot assign to \"{}\"", peek().text));
    return name_of(expect_identifier());
  }

  void parameters(Macro& macro) {
    expect_operator("(");
    while (!take_operator(")")) {
      if (!macro.parameters.empty()) {
        expect_operator(",");
        if (take_operator(")")) break;
      }
      macro.parameter_names.push_back(peek().text);
      macro.parameters.push_back(variable());
      if (take_operator("="))
        macro.defaults.push_back(expression());
      else if (!macro.defaults.empty())
        syntax_error(peek().at, "a parameter without default stands behind one with");
    }
  }

  void macro_body(Macro& macro, std::string_view end) {
    Macro* outer = std::exchange(macro_, &macro);
    const int loops = std::exchange(loops_, 0);
    macro.body = body(end);
    loops_ = loops;
    macro_ = outer;
  }

  Node macro_statement(Position at) {
    Node node{.kind = NodeKind::kMacro, .at = at};
    Macro macro{.name = peek().text};
    node.targets.push_back({.name = variable(), .at = at});
    parameters(macro);
    macro_body(macro, "endmacro");
    node.macros.push_back(std::move(macro));
    return node;
  }

  Node call_statement(Position at) {
    Node node{.kind = NodeKind::kCall, .at = at};
    Macro caller{.name = "caller"};
    if (at_operator("(")) parameters(caller);
    node.exprs.push_back(expression());
    if (node.exprs[0].kind != ExprKind::kCall) syntax_error(at, "\"call\" needs a call");
    macro_body(caller, "endcall");
    node.macros.push_back(std::move(caller));
    return node;
  }

  Node filter_statement(Position at) {
    Node node{.kind = NodeKind::kFilter, .at = at};
    node.exprs.push_back(filter_chain({.kind = ExprKind::kBody, .at = at}));
    node.bodies.push_back(body("endfilter"));
    return node;
  }

  Node with_statement(Position at) {
    Node node{.kind = NodeKind::kScope, .at = at};
    while (peek().kind != TokenKind::kBlockEnd) {
      if (!node.targets.empty()) expect_operator(",");
      node.targets.push_back(single_target());
      expect_operator("=");
      node.exprs.push_back(expression());
    }
    node.bodies.push_back(body("endwith"));
    return node;
  }

  // Marks what the model said, for training; here it is just a scope.
  Node generation_statement(Position at) {
    Node node{.kind = NodeKind::kScope, .at = at};
    node.bodies.push_back(body("endgeneration"));
    return node;
  }

  int loops_ = 0;  // around this place
};

}  // namespace

std::unique_ptr<Program> parse(std::string_view source) {
  if (source.size() > kMaxSource)
    fail(ErrorKind::kTooLarge, "jinja: a template of {} bytes is over the limit of {}",
         source.size(), kMaxSource);
  auto program = std::make_unique<Program>();
  program->source = normalized(source);
  Parser(*program, tokenize(program->source)).run();
  return program;
}

}  // namespace cria::jinja
