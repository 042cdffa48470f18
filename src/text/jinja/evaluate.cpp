// evaluate.cpp - expressions and calls of the interpreter.
#include "text/jinja/format.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/operators.h"
#include "text/jinja/scope.h"

#include <algorithm>

namespace cria::jinja {

namespace {
constexpr int kMaxDepth = 1000;
}

Value Interpreter::evaluate(const Expr& e) {
  switch (e.kind) {
    case ExprKind::kConstant:
      return e.constant;
    case ExprKind::kName:
      return lookup(e);
    case ExprKind::kBody:
      return body_;
    default: {
      const Deeper deeper(rt_, depth_, kMaxDepth);
      rt_.step();
      return composite(e);
    }
  }
}

Value Interpreter::composite(const Expr& e) {
  switch (e.kind) {
    case ExprKind::kList:
    case ExprKind::kTuple:
      return sequence(e);
    case ExprKind::kDict:
      return dict(e);
    case ExprKind::kAttribute: {
      const Value object = evaluate(e.parts[0]);
      rt_.at = e.at;
      return attribute(rt_, object, e.text);
    }
    case ExprKind::kItem:
      return subscript(e);
    case ExprKind::kCall:
      return call(e);
    case ExprKind::kFilter:
    case ExprKind::kTest:
      return filter_or_test(e);
    case ExprKind::kNegate:
    case ExprKind::kPlus: {
      const Value v = evaluate(e.parts[0]);
      rt_.at = e.at;
      const Value minus = negated(rt_, v);  // +v, too, is only for numbers
      return e.kind == ExprKind::kNegate ? minus
             : v.is(Kind::kFloat)        ? v
                                         : Value::integer(v.as_int());
    }
    case ExprKind::kNot:
      return Value::boolean(!evaluate(e.parts[0]).truth());
    case ExprKind::kAnd:
    case ExprKind::kOr:
      return logical(e);
    case ExprKind::kCompare:
      return comparison(e);
    case ExprKind::kConcat:
      return concatenation(e);
    case ExprKind::kBinary: {
      const Value a = evaluate(e.parts[0]), b = evaluate(e.parts[1]);
      rt_.at = e.at;
      return arithmetic(rt_, e.operators[0], a, b);
    }
    case ExprKind::kCondition:
      return evaluate(e.parts[evaluate(e.parts[1]).truth() ? 0 : 2]);
    default:
      return {};
  }
}

Value Interpreter::lookup(const Expr& e) {
  for (const Frame* f = frame_; f != nullptr; f = f->parent) {
    for (const auto& [name, value] : f->variables)
      if (name == e.name) return value;
  }
  return globals_[static_cast<size_t>(e.name)];
}

Value Interpreter::sequence(const Expr& e) {
  List& made = rt_.list(e.parts.size());
  for (const Expr& part : e.parts) made.items.push_back(evaluate(part));
  return Value::of(&made, e.kind == ExprKind::kList ? Sequence::kList : Sequence::kTuple);
}

Value Interpreter::dict(const Expr& e) {
  Dict& made = rt_.dict();
  for (size_t i = 0; i + 1 < e.parts.size(); i += 2) {
    const Value key = evaluate(e.parts[i]), value = evaluate(e.parts[i + 1]);
    rt_.at = e.at;
    rt_.set(made, key, value);
  }
  return Value::of(&made);
}

Value Interpreter::subscript(const Expr& e) {
  const Value object = evaluate(e.parts[0]);
  const Expr& index = e.parts[1];
  if (index.kind != ExprKind::kSlice) {
    const Value key = evaluate(index);
    rt_.at = e.at;
    return item(rt_, object, key);
  }
  const Value start = evaluate(index.parts[0]), stop = evaluate(index.parts[1]),
              step = evaluate(index.parts[2]);
  rt_.at = e.at;
  return slice(rt_, object, start, stop, step);
}

// The operand that decides; those behind it are not evaluated.
Value Interpreter::logical(const Expr& e) {
  const bool decides = e.kind == ExprKind::kOr;
  for (size_t i = 0; i + 1 < e.parts.size(); ++i) {
    const Value v = evaluate(e.parts[i]);
    if (v.truth() == decides) return v;
  }
  return evaluate(e.parts.back());
}

Value Interpreter::comparison(const Expr& e) {
  Value left = evaluate(e.parts[0]);
  for (size_t i = 0; i < e.operators.size(); ++i) {
    const Value right = evaluate(e.parts[i + 1]);
    rt_.at = e.at;
    if (!compare(rt_, e.operators[i], left, right)) return Value::boolean(false);
    left = right;
  }
  return Value::boolean(true);
}

Value Interpreter::concatenation(const Expr& e) {
  Text text(rt_);
  for (const Expr& part : e.parts) print(text, evaluate(part));
  return text.value();
}

Arguments Interpreter::arguments(const Expr& e) {
  Arguments given;
  const size_t first_named = e.parts.size() - e.keywords.size();
  given.positional.reserve(first_named);
  for (size_t i = 1; i < first_named; ++i) given.positional.push_back(evaluate(e.parts[i]));
  for (size_t i = 0; i < e.keywords.size(); ++i)
    given.named.emplace_back(e.keywords[i], evaluate(e.parts[first_named + i]));
  return given;
}

Value Interpreter::filter_or_test(const Expr& e) {
  const Value subject = evaluate(e.parts[0]);
  const Arguments given = arguments(e);
  rt_.at = e.at;
  if (e.routine == nullptr)
    rt_.error("there is no {} \"{}\"", e.kind == ExprKind::kFilter ? "filter" : "test", e.text);
  return run_routine(rt_, *e.routine, subject, given);
}

Value Interpreter::call(const Expr& e, const Value& caller) {
  const Expr& callee = e.parts[0];
  Value object, function;
  const Routine* method = nullptr;
  if (callee.kind == ExprKind::kAttribute) {  // a method needs no function value
    object = evaluate(callee.parts[0]);
    rt_.at = callee.at;
    method = find_method(object, callee.text);
    if (method == nullptr) function = attribute(rt_, object, callee.text);
  } else {
    function = evaluate(callee);
  }
  Arguments given = arguments(e);
  if (!caller.missing()) given.named.emplace_back("caller", caller);
  rt_.at = e.at;
  if (method != nullptr) return run_routine(rt_, *method, object, given);
  if (function.undefined())
    rt_.error("\"{}\" is undefined and cannot be called", function.as_text());
  if (!function.is(Kind::kFunction)) rt_.error("{} cannot be called", function.type_name());
  return call_function(function.as_function(), given);
}

Value Interpreter::call_function(const Function& function, const Arguments& given) {
  if (function.macro != nullptr) return call_macro(function, given);
  if (function.routine == nullptr) rt_.error("\"{}\" cannot be called", function.name);
  return run_routine(rt_, *function.routine, function.self, given);
}

Value Interpreter::call_macro(const Function& function, const Arguments& given) {
  const Position at = rt_.at;
  Text text(rt_);
  {
    const Scope scope(*this, function.scope);
    bind(*function.macro, given);
    Text* outer = std::exchange(out_, &text);
    run(function.macro->body);
    out_ = outer;
  }
  rt_.at = at;
  return text.value();
}

void Interpreter::bind(const Macro& macro, const Arguments& given) {
  const size_t count = macro.parameters.size();
  List& more = rt_.list();
  for (size_t i = count; i < given.positional.size(); ++i) rt_.append(more, given.positional[i]);
  if (!more.items.empty() && !macro.reads_varargs)
    rt_.error("macro \"{}\" takes at most {} arguments, not {}", macro.name, count,
              given.positional.size());
  Dict& named = rt_.dict();
  for (const auto& [name, value] : given.named) {
    const bool known =
        std::ranges::find(macro.parameter_names, name) != macro.parameter_names.end();
    if (known || (name == "caller" && macro.reads_caller)) continue;
    if (!macro.reads_kwargs) rt_.error("macro \"{}\" has no argument \"{}\"", macro.name, name);
    rt_.set(named, Value::borrowed(name), value);
  }
  Value caller = Value::undefined("caller");
  for (const auto& [name, value] : given.named)
    if (name == "caller") caller = value;
  if (macro.reads_caller) set(program_.caller, caller);
  if (macro.reads_varargs) set(program_.varargs, Value::of(&more, Sequence::kTuple));
  if (macro.reads_kwargs) set(program_.kwargs, Value::of(&named));
  for (size_t i = 0; i < count; ++i) {
    Value v = i < given.positional.size() ? given.positional[i] : Value();
    for (const auto& [name, value] : given.named) {
      if (name != macro.parameter_names[i]) continue;
      if (!v.missing()) rt_.error("macro \"{}\": \"{}\" is given twice", macro.name, name);
      v = value;
    }
    const size_t without_default = count - macro.defaults.size();
    if (v.missing())
      v = i < without_default ? Value::undefined(macro.parameter_names[i])
                              : evaluate(macro.defaults[i - without_default]);
    set(macro.parameters[i], v);
  }
}

}  // namespace cria::jinja
