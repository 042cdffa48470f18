#include "text/template/parser.h"

#include "base/error.h"
#include "text/template/functions.h"
#include "text/template/literal.h"
#include "text/template/template.h"

#include <deque>

namespace cria::text {

namespace {

constexpr int kMaxElseChain = 300;      // else-if after else-if: each is one level of the tree
constexpr size_t kMaxVariables = 1000;  // in scope at one place

bool is_empty(const Nodes& nodes) {
  for (const Node& n : nodes) {
    if (n.kind != NodeKind::kText || n.text.find_first_not_of(" \t\r\n") != std::string::npos) {
      return false;
    }
  }
  return true;
}

class Parser {
 public:
  explicit Parser(std::string_view source) : lexer_(source) {}

  ParsedTemplate parse() {
    for (;;) {
      if (peek().kind == TokenKind::kEnd) break;
      if (peek().kind == TokenKind::kText) {
        result_.root.push_back(text());
        continue;
      }
      const Token open = next();
      if (is_keyword(peek_word(), "define")) {
        definition();
        continue;
      }
      const Ending e = action(open, result_.root);
      if (e != Ending::kNone) {
        template_error(open.at, e == Ending::kEnd ? "unexpected {{end}}" : "unexpected {{else}}");
      }
    }
    // A definition named "" is of the template itself.
    if (const auto own = result_.defined.find("");
        own != result_.defined.end() && !is_empty(own->second)) {
      if (!is_empty(result_.root))
        template_error(peek().at, "multiple definition of template \"\"");
      result_.root = std::move(own->second);
    }
    return std::move(result_);
  }

 private:
  enum class Ending { kNone, kEnd, kElse };

  struct Deeper {
    Deeper(Parser& p, Position at) : depth(p.depth_) {
      if (++depth > TemplateLimits{}.max_depth) {
        --depth;
        template_error(at, fmt::format("nested deeper than {}", TemplateLimits{}.max_depth));
      }
    }
    ~Deeper() { --depth; }
    int& depth;
  };

  static bool is_keyword(const Token& t, std::string_view word) {
    return t.kind == TokenKind::kKeyword && t.text == word;
  }

  Token next() {
    if (ahead_.empty()) return lexer_.next();
    Token t = ahead_.front();
    ahead_.pop_front();
    return t;
  }
  const Token& peek(size_t n = 0) {
    while (ahead_.size() <= n) ahead_.push_back(lexer_.next());
    return ahead_[n];
  }
  const Token& peek_word() {  // skips spaces
    while (peek().kind == TokenKind::kSpace) next();
    return peek();
  }
  Token next_word() {
    peek_word();
    return next();
  }
  [[noreturn]] void unexpected(const Token& t, std::string_view context) {
    if (t.kind == TokenKind::kEnd) template_error(t.at, "unexpected end of the template");
    const std::string_view shown = t.text.substr(0, 40);
    template_error(t.at, fmt::format("unexpected \"{}\" in {}", shown, context));
  }
  void expect_close(std::string_view context) {
    const Token t = next_word();
    if (t.kind != TokenKind::kClose) unexpected(t, context);
  }

  Node text() {
    const Token t = next();
    return {.kind = NodeKind::kText, .at = t.at, .text = std::string(t.text)};
  }

  // Reads nodes up to an end or else, which is consumed as far as its keyword (else) or whole
  // (end).
  Ending list(Nodes& into) {
    for (;;) {
      if (peek().kind == TokenKind::kEnd)
        template_error(peek().at, "unexpected EOF: missing {{end}}");
      if (peek().kind == TokenKind::kText) {
        into.push_back(text());
        continue;
      }
      const Token open = next();
      const Ending e = action(open, into);
      if (e != Ending::kNone) return e;
    }
  }

  Ending action(const Token& open, Nodes& into) {
    const Token word = peek_word();
    if (word.kind != TokenKind::kKeyword) {
      Node n{.kind = NodeKind::kAction, .at = open.at};
      n.pipe.push_back(pipeline("command", TokenKind::kClose));
      into.push_back(std::move(n));
      return Ending::kNone;
    }
    next();
    if (word.text == "end") {
      expect_close("end");
      return Ending::kEnd;
    }
    if (word.text == "else") {
      const Token after = peek_word();
      if (is_keyword(after, "if") || is_keyword(after, "with")) return Ending::kElse;
      expect_close("else");
      return Ending::kElse;
    }
    if (word.text == "if") {
      into.push_back(control(NodeKind::kIf, open));
    } else if (word.text == "with") {
      into.push_back(control(NodeKind::kWith, open));
    } else if (word.text == "range") {
      into.push_back(control(NodeKind::kRange, open));
    } else if (word.text == "template") {
      into.push_back(template_call());
    } else if (word.text == "block") {
      into.push_back(block(open));
    } else if (word.text == "break" || word.text == "continue") {
      expect_close(word.text);
      if (ranges_ == 0)
        template_error(word.at, fmt::format("{{{{{}}}}} outside {{{{range}}}}", word.text));
      into.push_back(
          {.kind = word.text == "break" ? NodeKind::kBreak : NodeKind::kContinue, .at = open.at});
    } else {
      unexpected(word, "command");
    }
    return Ending::kNone;
  }

  static std::string_view word_of(NodeKind kind) {
    return kind == NodeKind::kIf ? "if" : kind == NodeKind::kWith ? "with" : "range";
  }

  Node control(NodeKind kind, const Token& open) {
    const Deeper deeper(*this, open.at);
    const size_t scope = variables_.size();
    Node n{.kind = kind, .at = open.at};
    n.pipe.push_back(pipeline(word_of(kind), TokenKind::kClose));
    ranges_ += kind == NodeKind::kRange;
    const Ending ending = list(n.body);
    ranges_ -= kind == NodeKind::kRange;
    if (ending == Ending::kElse) otherwise(n);
    variables_.resize(scope);
    return n;
  }

  // "else if" continues an if, "else with" a with: one end closes the whole chain.
  void otherwise(Node& n) {
    const Token after = peek();
    if (after.kind == TokenKind::kKeyword && n.kind != NodeKind::kRange &&
        after.text == word_of(n.kind)) {
      next();
      if (++chain_ > kMaxElseChain) {
        template_error(after.at, fmt::format("more than {} else branches", kMaxElseChain));
      }
      --depth_;  // the chain has its own limit
      n.otherwise.push_back(control(n.kind, after));
      ++depth_;
      --chain_;
      return;
    }
    if (after.kind == TokenKind::kKeyword) unexpected(after, "else");
    if (list(n.otherwise) != Ending::kEnd) {
      template_error(peek().at, "expected {{end}}, found {{else}}");
    }
  }

  std::string name(std::string_view context) {
    const Token t = next_word();
    if (t.kind != TokenKind::kString && t.kind != TokenKind::kRawString) unexpected(t, context);
    return unquote(t);
  }

  void define(const std::string& defined_name, Nodes nodes, Position at) {
    auto [it, inserted] = result_.defined.try_emplace(defined_name);
    if (inserted || is_empty(it->second)) {
      it->second = std::move(nodes);
    } else if (!is_empty(nodes)) {
      template_error(at, fmt::format("multiple definition of template \"{}\"", defined_name));
    }
  }

  // The body of a define or block: it sees no variables but $.
  Nodes separate_body(std::string_view context) {
    auto outer = std::exchange(variables_, {"$"});
    const int outer_ranges = std::exchange(ranges_, 0);
    Nodes nodes;
    if (list(nodes) != Ending::kEnd) {
      template_error(peek().at, fmt::format("unexpected {{{{else}}}} in {}", context));
    }
    variables_ = std::move(outer);
    ranges_ = outer_ranges;
    return nodes;
  }

  void definition() {
    const Token word = next();
    const std::string defined_name = name("define clause");
    expect_close("define clause");
    const Deeper deeper(*this, word.at);
    define(defined_name, separate_body("define clause"), word.at);
  }

  Node template_call() {
    Node n{.kind = NodeKind::kTemplate, .at = peek_word().at};
    n.text = name("template clause");
    if (peek_word().kind == TokenKind::kClose) {
      next();
    } else {
      n.pipe.push_back(pipeline("template clause", TokenKind::kClose));
    }
    return n;
  }

  Node block(const Token& open) {
    Node n{.kind = NodeKind::kTemplate, .at = peek_word().at};
    n.text = name("block clause");
    n.pipe.push_back(pipeline("block clause", TokenKind::kClose));
    const Deeper deeper(*this, open.at);
    define(n.text, separate_body("block clause"), open.at);
    return n;
  }

  // $x := or $x = or, in a range, $i, $e :=. Needs to see past a space: "$x foo" is a call.
  void declarations(Pipe& pipe, std::string_view context) {
    while (peek_word().kind == TokenKind::kVariable) {
      const size_t gap = peek(1).kind == TokenKind::kSpace ? 2 : 1;
      const Token after = peek(gap);
      const bool comma = after.kind == TokenKind::kChar && after.text == ",";
      if (after.kind != TokenKind::kAssign && after.kind != TokenKind::kDeclare && !comma) return;
      const Token variable = next();
      next_word();
      pipe.assigns = after.kind == TokenKind::kAssign;
      pipe.variables.emplace_back(variable.text);
      variables_.emplace_back(variable.text);
      if (variables_.size() > kMaxVariables) {
        template_error(variable.at, fmt::format("more than {} variables", kMaxVariables));
      }
      if (!comma) return;
      if (context != "range" || pipe.variables.size() > 1) {
        template_error(after.at, fmt::format("too many declarations in {}", context));
      }
      const TokenKind k = peek_word().kind;
      if (k != TokenKind::kVariable && k != TokenKind::kClose && k != TokenKind::kRightParen) {
        template_error(peek().at, "range can only initialize variables");
      }
    }
  }

  Pipe pipeline(std::string_view context, TokenKind end) {
    Pipe pipe{.at = peek_word().at};
    declarations(pipe, context);
    for (;;) {
      const Token t = peek_word();
      if (t.kind == end) {
        next();
        break;
      }
      pipe.commands.push_back(command(context));
    }
    if (pipe.commands.empty())
      template_error(pipe.at, fmt::format("missing value for {}", context));
    for (size_t i = 1; i < pipe.commands.size(); ++i) {
      const Expr& first = pipe.commands[i].words[0];
      if (first.kind == ExprKind::kConstant || first.kind == ExprKind::kDot ||
          first.kind == ExprKind::kNil) {
        template_error(first.at, fmt::format("non executable command in pipeline stage {}", i + 1));
      }
    }
    return pipe;
  }

  Command command(std::string_view context) {
    Command c{.at = peek_word().at};
    for (;;) {
      peek_word();
      if (!operand(c)) {
        const Token t = peek();
        if (c.words.empty()) {
          if (t.kind == TokenKind::kPipe) template_error(t.at, "empty command");
          unexpected(t, context);
        }
      }
      const Token t = peek();
      if (t.kind == TokenKind::kSpace) continue;
      if (t.kind == TokenKind::kPipe) {
        next();  // Go lets nothing follow it
        return c;
      }
      if (t.kind == TokenKind::kClose || t.kind == TokenKind::kRightParen) return c;
      unexpected(t, "operand");
    }
  }

  bool operand(Command& c) {
    Expr e;
    if (!term(e)) return false;
    if (peek().kind == TokenKind::kField) {
      if (e.kind == ExprKind::kConstant || e.kind == ExprKind::kNil || e.kind == ExprKind::kDot) {
        template_error(peek().at, "unexpected . after a constant");
      }
      if (e.kind != ExprKind::kField && e.kind != ExprKind::kVariable) {
        Expr chain{.kind = ExprKind::kChain, .at = e.at};
        chain.base.push_back(std::move(e));
        e = std::move(chain);
      }
      e.at = peek().at;
      while (peek().kind == TokenKind::kField) e.fields.emplace_back(next().text.substr(1));
    }
    c.words.push_back(std::move(e));
    return true;
  }

  bool term(Expr& e) {
    const Token t = peek();
    e.at = t.at;
    e.kind = ExprKind::kConstant;
    switch (t.kind) {
      case TokenKind::kIdentifier:
        if (!is_function(t.text))
          template_error(t.at, fmt::format("function \"{}\" not defined", t.text));
        e.kind = ExprKind::kFunction;
        e.text = t.text;
        break;
      case TokenKind::kDot:
        e.kind = ExprKind::kDot;
        break;
      case TokenKind::kNil:
        e.kind = ExprKind::kNil;
        break;
      case TokenKind::kField:
        e.kind = ExprKind::kField;
        e.fields.emplace_back(t.text.substr(1));
        break;
      case TokenKind::kVariable:
        use_variable(t);
        e.kind = ExprKind::kVariable;
        e.text = t.text;
        break;
      case TokenKind::kBool:
        e.constant = Value::boolean(t.text == "true");
        break;
      case TokenKind::kCharacter:
        e.constant = Value::integer(character_constant(t));
        break;
      case TokenKind::kNumber:
        read_number(t, e);
        break;
      case TokenKind::kString:
      case TokenKind::kRawString:
        e.constant = Value::string(unquote(t));
        break;
      case TokenKind::kLeftParen: {
        const Deeper deeper(*this, t.at);
        next();
        e.kind = ExprKind::kPipe;
        e.pipe.push_back(pipeline("parenthesized pipeline", TokenKind::kRightParen));
        return true;
      }
      default:
        return false;
    }
    next();
    return true;
  }

  static void read_number(const Token& t, Expr& e) {
    Number number = number_constant(t);
    e.constant = std::move(number.value);
    if (number.overflows) e.text = t.text;
  }

  void use_variable(const Token& t) {
    for (const std::string& v : variables_) {
      if (v == t.text) return;
    }
    template_error(t.at, fmt::format("undefined variable \"{}\"", t.text));
  }

  Lexer lexer_;
  std::deque<Token> ahead_;
  std::vector<std::string> variables_{"$"};
  int ranges_ = 0, depth_ = 0, chain_ = 0;
  ParsedTemplate result_;
};

}  // namespace

ParsedTemplate parse_template(std::string_view source) {
  return Parser(source).parse();
}

}  // namespace cria::text
