#include "text/grammar/gbnf.h"

#include "base/error.h"
#include "base/utf8.h"
#include "text/grammar/characters.h"

#include <algorithm>
#include <map>
#include <string>

namespace cria::grammar {
namespace {

constexpr size_t kMostBytes = 64 << 10;
constexpr int kMostDepth = 100;
constexpr int32_t kMostCount = 2'000;

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

class Parser {
 public:
  Parser(Expressions& to, std::string_view text, const RuleFacts& facts)
      : to_(to), text_(text), facts_(facts) {}

  Expr parse() {
    if (text_.size() > kMostBytes)
      fail(ErrorKind::kTooLarge, "a grammar of {} bytes; at most {} are allowed", text_.size(),
           kMostBytes);
    for (skip(true); !at_end(); skip(true)) rule();
    for (const auto& [name, rule] : rules_)
      if (!rule.defined) wrong("there is no rule \"" + name + "\"");
    const auto root = rules_.find("root");
    if (root == rules_.end()) wrong("there is no rule \"root\"");
    if (const size_t number = to_.left_recursive_rule(); number < to_.rules())
      for (const auto& [name, rule] : rules_)
        if (to_[rule.expression].a == number)
          fail(ErrorKind::kUnsupported,
               "the rule \"{}\" of the grammar can begin with itself (left recursion); write it "
               "with * or +",
               name);
    return use(root->second);
  }

 private:
  struct Rule {
    Expr expression;
    bool defined = false;
  };

  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  bool take(std::string_view what) {
    if (!text_.substr(at_).starts_with(what)) return false;
    at_ += what.size();
    return true;
  }
  [[noreturn]] void wrong(std::string_view why) const {
    const auto line = 1 + std::ranges::count(text_.substr(0, at_), '\n');
    fail(ErrorKind::kInvalidInput, "the grammar is wrong at line {}: {}", line, why);
  }
  void skip(bool lines) {
    for (; !at_end(); ++at_) {
      if (peek() == '#') at_ = std::min(text_.find('\n', at_), text_.size());
      if (at_end()) return;
      const bool line_end = peek() == '\n' || peek() == '\r';
      if (peek() != ' ' && peek() != '\t' && !(lines && line_end)) return;
    }
  }

  Rule& named(const std::string& name) {
    const auto known = rules_.find(name);
    if (known != rules_.end()) return known->second;
    const size_t number = to_.rules();
    const bool nullable = number < facts_.nullable.size() && facts_.nullable[number];
    return rules_.emplace(name, Rule{.expression = to_.declare_rule(nullable)}).first->second;
  }
  Expr use(const Rule& rule) const {
    const size_t number = to_[rule.expression].a;
    return number < facts_.dead.size() && facts_.dead[number] ? kNothing : rule.expression;
  }

  std::string name() {
    const size_t begin = at_;
    while (is_name(peek())) ++at_;
    if (at_ == begin) wrong("expected a name");
    return std::string(text_.substr(begin, at_ - begin));
  }

  void rule() {
    const std::string left = name();
    skip(false);
    if (!take("::=")) wrong("expected ::= behind the name of a rule");
    skip(true);
    const Expr body = alternatives(0);
    Rule& rule = named(left);
    if (rule.defined) wrong("a second rule \"" + left + "\"");
    rule.defined = true;
    to_.define_rule(rule.expression, body);
    if (!at_end() && peek() != '\n' && peek() != '\r') wrong("expected the end of the rule");
  }

  Expr alternatives(int depth) {
    if (depth > kMostDepth)
      fail(ErrorKind::kTooLarge, "a grammar with parentheses more than {} deep", kMostDepth);
    std::vector<Expr> parts{items(depth)};
    while (take("|")) {
      skip(true);
      parts.push_back(items(depth));
    }
    return to_.choice(parts);
  }

  Expr items(int depth) {
    std::vector<Expr> parts;
    for (;;) {
      const char c = peek();
      if (c != '"' && c != '[' && c != '(' && c != '.' && c != '<' && c != '!' && !is_name(c))
        break;
      parts.push_back(counted(item(depth)));
      skip(depth > 0);
    }
    return to_.sequence(parts);
  }

  Expr item(int depth) {
    if (take("\"")) return literal();
    if (take("[")) return character_class();
    if (take(".")) return character(to_, complement({}), Spelling::kPlain);
    if (peek() == '<' || peek() == '!')
      fail(ErrorKind::kUnsupported, "tokens in a grammar (<...>) are not supported");
    if (!take("(")) return use(named(name()));
    skip(true);
    const Expr out = alternatives(depth + 1);
    if (!take(")")) wrong("expected )");
    return out;
  }

  Expr counted(Expr e) {
    for (;;) {
      if (take("*"))
        e = to_.repeat(e, 0, kNoLimit);
      else if (take("+"))
        e = to_.repeat(e, 1, kNoLimit);
      else if (take("?"))
        e = to_.optional(e);
      else if (take("{"))
        e = counts(e);
      else
        return e;
    }
  }

  Expr counts(Expr e) {
    const int32_t min = peek() == ',' ? 0 : number();
    int32_t max = min;
    skip(false);
    if (take(",")) {
      skip(false);
      max = peek() == '}' ? kNoLimit : number();
      skip(false);
    }
    if (!take("}")) wrong("expected }");
    if (min > max) wrong("the counts are in the wrong order");
    return to_.repeat(e, min, max);
  }

  int32_t number() {
    if (peek() < '0' || peek() > '9') wrong("expected a count");
    int32_t out = 0;
    while (peek() >= '0' && peek() <= '9') {
      out = out * 10 + (text_[at_++] - '0');
      if (out > kMostCount) fail(ErrorKind::kTooLarge, "a count above {} in a grammar", kMostCount);
    }
    return out;
  }

  Expr literal() {
    std::vector<Expr> parts;
    while (!take("\"")) {
      const uint32_t code = next_character();
      parts.push_back(character(to_, {{code, code}}, Spelling::kPlain));
    }
    return to_.sequence(parts);
  }

  Expr character_class() {
    const bool negated = take("^");
    CodeRanges ranges;
    while (!take("]")) {
      const uint32_t first = next_character();
      uint32_t last = first;
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        last = next_character();
      }
      if (first > last) wrong("a range of characters in the wrong order");
      ranges.push_back({first, last});
    }
    return character(to_, negated ? complement(std::move(ranges)) : ranges, Spelling::kPlain);
  }

  uint32_t next_character() {
    if (at_end()) wrong("a literal or class is not closed");
    if (take("\\")) return escape();
    const CodePoint code = decode_utf8(text_, at_);
    if (code.value == kInvalidCodePoint) wrong("no valid UTF-8");
    at_ += code.length;
    return code.value;
  }

  uint32_t escape() {
    const char c = peek();
    ++at_;
    switch (c) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case 'x':
        return hexadecimal(2);
      case 'u':
        return hexadecimal(4);
      case 'U':
        return hexadecimal(8);
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
      case '^':
        return static_cast<uint8_t>(c);
      default:
        --at_;
        wrong("an unknown escape");
    }
  }

  uint32_t hexadecimal(int digits) {
    const std::optional<uint32_t> out = read_hexadecimal(text_, at_, digits);
    if (!out) wrong("expected a hexadecimal digit");
    if (*out > kLastCodePoint) wrong("no character");
    return *out;
  }

  Expressions& to_;
  std::string_view text_;
  const RuleFacts& facts_;
  std::map<std::string, Rule> rules_;
  size_t at_ = 0;
};

}  // namespace

Expr parse_gbnf(Expressions& to, std::string_view text, const RuleFacts& facts) {
  return Parser(to, text, facts).parse();
}

}  // namespace cria::grammar
