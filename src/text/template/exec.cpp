#include "text/template/exec.h"

#include "base/error.h"
#include "text/template/functions.h"
#include "text/template/lexer.h"

#include <algorithm>
#include <optional>

namespace cria::text {

namespace {

using Kind = Value::Kind;

constexpr int kMaxRecursion = 1500;    // blocks inside blocks, over all template calls
constexpr size_t kFunctionBudget = 4;  // text made by functions, in multiples of max_output

class Executor {
 public:
  Executor(const ParsedTemplate& parsed, const TemplateLimits& limits, Output& out)
      : parsed_(parsed),
        limits_(limits),
        out_(out),
        steps_left_(limits.max_steps),
        budget_(limits.max_output * kFunctionBudget) {}

  void run(const Value& data) {
    variables_.emplace_back("$", data);
    walk(parsed_.root, data);
  }

 private:
  enum class Flow { kNext, kBreak, kContinue };

  struct Deeper {
    Deeper(Executor& e, Position at) : depth(e.depth_) {
      if (depth >= kMaxRecursion) template_error(at, "nested too deeply while running");
      ++depth;
    }
    ~Deeper() { --depth; }
    int& depth;
  };

  // Everything that runs passes here: an error names the place of the last step.
  void step(Position at) {
    at_ = at;
    spend(0);
  }
  void spend(size_t bytes) {
    steps_left_ -= 1 + static_cast<int64_t>(bytes / 64);
    if (steps_left_ < 0) {
      fail(ErrorKind::kTooLarge, "template:{}:{}: more than {} steps", at_.line, at_.column,
           limits_.max_steps);
    }
  }
  [[noreturn]] void error(std::string_view message) const { template_error(at_, message); }

  Flow walk(const Nodes& nodes, const Value& dot) {
    for (const Node& n : nodes) {
      const Flow flow = walk(n, dot);
      if (flow != Flow::kNext) return flow;
    }
    return Flow::kNext;
  }

  Flow walk(const Node& n, const Value& dot) {
    step(n.at);
    switch (n.kind) {
      case NodeKind::kText:
        out_.put(n.text);
        return Flow::kNext;
      case NodeKind::kAction: {
        const Value v = pipeline(n.pipe[0], dot);
        if (n.pipe[0].variables.empty()) print_value(out_, v);
        return Flow::kNext;
      }
      case NodeKind::kIf:
      case NodeKind::kWith:
        return branch(n, dot);
      case NodeKind::kRange:
        return range(n, dot);
      case NodeKind::kTemplate:
        call_template(n, dot);
        return Flow::kNext;
      case NodeKind::kBreak:
        return Flow::kBreak;
      case NodeKind::kContinue:
        return Flow::kContinue;
    }
    return Flow::kNext;
  }

  Flow branch(const Node& n, const Value& dot) {
    const Deeper deeper(*this, n.at);
    const size_t scope = variables_.size();
    const Value v = pipeline(n.pipe[0], dot);
    Flow flow = Flow::kNext;
    if (v.truth()) {
      flow = walk(n.body, n.kind == NodeKind::kWith ? v : dot);
    } else {
      flow = walk(n.otherwise, dot);
    }
    variables_.resize(scope);
    return flow;
  }

  // One turn of a range; false ends it.
  bool turn(const Node& n, const Value& index, const Value& element) {
    step(n.at);
    const Pipe& pipe = n.pipe[0];
    const size_t scope = variables_.size();
    const size_t count = pipe.variables.size();
    for (size_t i = 0; i < count; ++i) {
      const Value& v = count == 2 && i == 0 ? index : element;
      if (pipe.assigns) {
        assign(pipe.variables[i], v);
      } else {
        variables_[scope - count + i].second = v;
      }
    }
    const Flow flow = walk(n.body, element);
    variables_.resize(scope);
    return flow != Flow::kBreak;
  }

  Flow range(const Node& n, const Value& dot) {
    const Deeper deeper(*this, n.at);
    const size_t scope = variables_.size();
    const Value v = pipeline(n.pipe[0], dot);
    bool ran = false;
    if (v.kind() == Kind::kList) {
      ran = v.list_size() > 0;
      for (size_t i = 0; i < v.list_size(); ++i) {
        if (!turn(n, Value::integer(static_cast<int64_t>(i)), v.list_at(i))) break;
      }
    } else if (v.kind() == Kind::kMap) {
      ran = !v.as_map().empty();
      for (const auto& [key, item] : v.as_map()) {
        if (!turn(n, Value::string(key), item)) break;
      }
    } else if (v.kind() == Kind::kInt) {
      if (n.pipe[0].variables.size() > 1) {
        error("can't range over an integer with more than one variable");
      }
      ran = v.as_int() > 0;
      for (int64_t i = 0; i < v.as_int(); ++i) {
        if (!turn(n, Value(), Value::integer(i))) break;
      }
    } else if (!v.absent()) {
      error(fmt::format("range can't iterate over a {}", v.type_name()));
    }
    Flow flow = ran ? Flow::kNext : walk(n.otherwise, dot);
    // A break in the else branch may stand there only for a range around this one; Go ends this
    // one.
    if (flow == Flow::kBreak) flow = Flow::kNext;
    variables_.resize(scope);
    return flow;
  }

  void call_template(const Node& n, const Value& dot) {
    const auto found = parsed_.defined.find(n.text);
    if (found == parsed_.defined.end()) {
      error(fmt::format("template \"{}\" not defined", n.text));
    }
    if (templates_ >= limits_.max_depth) {
      error(fmt::format("templates call each other deeper than {}", limits_.max_depth));
    }
    const Deeper deeper(*this, n.at);
    const Value argument = n.pipe.empty() ? Value() : pipeline(n.pipe[0], dot);
    auto outer = std::exchange(variables_, {});
    variables_.emplace_back("$", argument);
    ++templates_;
    walk(found->second, argument);
    --templates_;
    variables_ = std::move(outer);
  }

  void assign(const std::string& name, const Value& v) {
    for (auto it = variables_.rbegin(); it != variables_.rend(); ++it) {
      if (it->first == name) {
        it->second = v;
        return;
      }
    }
    error(fmt::format("undefined variable: {}", name));
  }

  Value pipeline(const Pipe& pipe, const Value& dot) {
    const Deeper deeper(*this, pipe.at);
    step(pipe.at);
    std::optional<Value> value;
    for (const Command& c : pipe.commands) value = command(c, dot, value);
    // Within a pipeline Go forgets the difference between a nil and nothing.
    if (value->kind() == Kind::kNil) value = Value();
    for (const std::string& name : pipe.variables) {
      if (pipe.assigns) {
        assign(name, *value);
      } else {
        variables_.emplace_back(name, *value);
      }
    }
    return *value;
  }

  Value command(const Command& c, const Value& dot, const std::optional<Value>& piped) {
    const Expr& first = c.words[0];
    const bool arguments = c.words.size() > 1 || piped.has_value();
    switch (first.kind) {
      case ExprKind::kFunction:
        return call(first, c, dot, piped);
      case ExprKind::kField:
        step(first.at);
        return fields(first, dot, arguments);
      case ExprKind::kVariable:
        step(first.at);
        if (first.fields.empty()) refuse(arguments);
        return fields(first, variable(first), arguments);
      case ExprKind::kChain:
        step(first.at);
        return fields(first, word(first.base[0], dot), arguments);
      case ExprKind::kPipe:
        refuse(arguments);
        return pipeline(first.pipe[0], dot);
      default:
        step(first.at);
        refuse(arguments);
        if (first.kind == ExprKind::kNil) error("nil is not a command");
        return word(first, dot);
    }
  }

  void refuse(bool arguments) const {
    if (arguments) error("can't give argument to non-function");
  }

  Value word(const Expr& e, const Value& dot) {
    step(e.at);
    switch (e.kind) {
      case ExprKind::kDot:
        return dot;
      case ExprKind::kNil:
        return Value::nil();
      case ExprKind::kConstant:
        if (!e.text.empty()) error(fmt::format("{} overflows int", e.text));
        return e.constant;
      case ExprKind::kPipe:
        return pipeline(e.pipe[0], dot);
      case ExprKind::kField:
        return fields(e, dot, false);
      case ExprKind::kVariable:
        return fields(e, variable(e), false);
      case ExprKind::kChain:
        return fields(e, word(e.base[0], dot), false);
      case ExprKind::kFunction:
        return call(e, Command{.at = e.at, .words = {}}, dot, std::nullopt);
    }
    return {};
  }

  const Value& variable(const Expr& e) const {
    for (auto it = variables_.rbegin(); it != variables_.rend(); ++it) {
      if (it->first == e.text) return it->second;
    }
    error(fmt::format("undefined variable: {}", e.text));
  }

  Value fields(const Expr& e, Value v, bool arguments) const {
    for (size_t i = 0; i < e.fields.size(); ++i)
      v = field(v, e.fields[i], arguments && i + 1 == e.fields.size());
    return v;
  }

  Value field(const Value& v, const std::string& name, bool arguments) const {
    if (v.kind() == Kind::kMissing) return v;
    if (v.kind() == Kind::kNil)
      error(fmt::format("nil pointer evaluating interface {{}}.{}", name));
    if (v.kind() == Kind::kMap) {
      if (arguments) error(fmt::format("{} is not a method but has arguments", name));
      const Value* found = v.find(name);
      return found ? *found : Value();
    }
    if (v.kind() == Kind::kStruct) {
      for (const StructField& f : v.as_struct().fields) {
        if (f.name != name) continue;
        if (arguments)
          error(fmt::format("{} has arguments but cannot be invoked as function", name));
        return f.value;
      }
    }
    error(fmt::format("can't evaluate field {} in type {}", name, v.type_name()));
  }

  Value call(const Expr& e, const Command& c, const Value& dot, const std::optional<Value>& piped) {
    step(e.at);
    const Function& f = *find_function(e.text);
    const size_t given = (c.words.empty() ? 0 : c.words.size() - 1) + (piped ? 1 : 0);
    if (given < f.least || given > f.most) {
      error(fmt::format("wrong number of args for {}: want {}{} got {}", e.text,
                        f.least == f.most ? "" : "at least ", f.least, given));
    }
    if (f.run == nullptr) return and_or(e.text == "or", c, dot, piped);
    ValueList arguments;
    arguments.reserve(given);
    size_t bytes = 0;
    const auto add = [&](Value v) {
      if (v.kind() == Kind::kString) bytes += v.as_string().size();
      if (f.first_is_string && arguments.empty() && v.kind() != Kind::kString)
        error(fmt::format("wrong type for value; expected string; got {}", v.type_name()));
      arguments.push_back(std::move(v));
    };
    for (size_t i = 1; i < c.words.size(); ++i) add(word(c.words[i], dot));
    if (piped) add(*piped);
    spend(bytes);
    Value result = f.run(
        {.at = e.at, .limit = std::min(limits_.max_output, budget_), .name = e.text}, arguments);
    if (result.kind() == Kind::kString) {
      const size_t made = result.as_string().size();
      budget_ -= std::min(budget_, made);
      spend(made);
    }
    return result;
  }

  // They return the argument that decides, and evaluate none after it.
  Value and_or(bool is_or, const Command& c, const Value& dot, const std::optional<Value>& piped) {
    Value v;
    for (size_t i = 1; i < c.words.size(); ++i) {
      v = word(c.words[i], dot);
      if (v.truth() == is_or) return v;
    }
    return piped ? *piped : v;
  }

  const ParsedTemplate& parsed_;
  const TemplateLimits& limits_;
  Output& out_;
  int64_t steps_left_;
  size_t budget_;
  Position at_;
  int depth_ = 0, templates_ = 0;
  std::vector<std::pair<std::string, Value>> variables_;
};

}  // namespace

void execute_template(const ParsedTemplate& parsed, const Value& data, const TemplateLimits& limits,
                      Output& out) {
  Executor(parsed, limits, out).run(data);
}

}  // namespace cria::text
