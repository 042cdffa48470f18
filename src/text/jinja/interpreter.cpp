// interpreter.cpp - statements. Expressions are in evaluate.cpp.
#include "text/jinja/interpreter.h"

#include "text/jinja/format.h"
#include "text/jinja/operators.h"
#include "text/jinja/scope.h"

#include <algorithm>

namespace cria::jinja {

namespace {
constexpr int kMaxDepth = 1000;  // blocks and expressions inside each other, over all macros
}

Interpreter::Interpreter(const Program& program, const Json& variables, const Settings& settings)
    : program_(program), rt_(settings.limits), globals_(program.names.size()), main_(rt_) {
  rt_.now = settings.now;
  for (size_t i = 0; i < globals_.size(); ++i) {
    const std::string_view name = program.names[i];
    if (variables.is_object()) {
      if (const auto found = variables.find(name); found != variables.end()) {
        globals_[i] = rt_.value(*found);
        continue;
      }
    }
    const Routine* routine = find_global(name);
    globals_[i] = routine == nullptr ? Value::undefined(name)
                                     : Value::of(&rt_.function({.name = name, .routine = routine}));
  }
  frame_ = &frames_.emplace_back();
}

void Interpreter::run() {
  run(program_.root);
}

Interpreter::Flow Interpreter::run(const Nodes& nodes) {
  const Deeper deeper(rt_, depth_, kMaxDepth);
  for (const Node& node : nodes) {
    const Flow flow = run(node);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run(const Node& node) {
  rt_.at = node.at;
  rt_.step();
  switch (node.kind) {
    case NodeKind::kData:
      out_->put(node.text);
      return Flow::kNext;
    case NodeKind::kOutput:
      print(*out_, evaluate(node.exprs[0]));
      return Flow::kNext;
    case NodeKind::kIf:
      return choose(node);
    case NodeKind::kFor:
      return loop(node);
    case NodeKind::kSet:
      assign(node.targets[0], evaluate(node.exprs[0]));
      return Flow::kNext;
    case NodeKind::kSetBlock:
      return set_block(node);
    case NodeKind::kMacro:
      define_macro(node);
      return Flow::kNext;
    case NodeKind::kCall:
      call_block(node);
      return Flow::kNext;
    case NodeKind::kFilter:
      return filter_block(node);
    case NodeKind::kScope:
      return scope_block(node);
    case NodeKind::kBreak:
      return Flow::kBreak;
    case NodeKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::choose(const Node& node) {
  for (size_t i = 0; i < node.bodies.size(); ++i) {
    if (i == node.exprs.size() || evaluate(node.exprs[i]).truth()) return run(node.bodies[i]);
  }
  return Flow::kNext;
}

void Interpreter::turn(const Node& node, const Value& element, const Value& loop) {
  frame_->variables.clear();
  if (!loop.missing()) set(program_.loop, loop);
  assign(node.targets[0], element);
}

Interpreter::Flow Interpreter::loop(const Node& node) {
  List* items = &items_of(rt_, evaluate(node.exprs[0]));
  const Scope scope(*this, frame_);
  if (node.exprs.size() > 1) {
    List& chosen = rt_.list();
    for (size_t i = 0; i < items->items.size(); ++i) {
      rt_.step();
      const Value element = items->items[i];
      turn(node, element, {});
      if (evaluate(node.exprs[1]).truth()) rt_.append(chosen, element);
    }
    items = &chosen;
  }
  Loop& state = rt_.loop({.items = items, .count = items->items.size()});
  // The body may change the list that it goes through.
  for (; state.index < std::min(state.count, items->items.size()); ++state.index) {
    rt_.at = node.at;
    rt_.step();
    turn(node, items->items[state.index], Value::of(&state));
    if (run(node.bodies[0]) == Flow::kBreak) break;
  }
  if (state.count > 0 || node.bodies.size() < 2) return Flow::kNext;
  frame_->variables.clear();
  return run(node.bodies[1]);
}

Value Interpreter::captured(const Nodes& body, Flow& flow) {
  Text text(rt_);
  Text* outer = std::exchange(out_, &text);
  {
    const Scope scope(*this, frame_);
    flow = run(body);
  }
  out_ = outer;
  return text.value();
}

Interpreter::Flow Interpreter::set_block(const Node& node) {
  Flow flow = Flow::kNext;
  Value text = captured(node.bodies[0], flow);
  if (!node.exprs.empty()) {
    const Value outer = std::exchange(body_, text);
    text = evaluate(node.exprs[0]);
    body_ = outer;
  }
  assign(node.targets[0], text);
  return flow;
}

Interpreter::Flow Interpreter::filter_block(const Node& node) {
  Flow flow = Flow::kNext;
  const Value outer = std::exchange(body_, captured(node.bodies[0], flow));
  print(*out_, evaluate(node.exprs[0]));
  body_ = outer;
  return flow;
}

Interpreter::Flow Interpreter::scope_block(const Node& node) {
  std::vector<Value> values;
  for (const Expr& e : node.exprs) values.push_back(evaluate(e));
  const Scope scope(*this, frame_);
  for (size_t i = 0; i < values.size(); ++i) assign(node.targets[i], values[i]);
  return run(node.bodies[0]);
}

// A macro keeps what stands around it.
void Interpreter::keep_frames() {
  for (Frame* f = frame_; f != nullptr && !f->captured; f = f->parent) f->captured = true;
}

void Interpreter::define_macro(const Node& node) {
  keep_frames();
  const Macro& macro = node.macros[0];
  assign(node.targets[0],
         Value::of(&rt_.function({.name = macro.name, .macro = &macro, .scope = frame_})));
}

void Interpreter::call_block(const Node& node) {
  keep_frames();
  const Value caller =
      Value::of(&rt_.function({.name = "caller", .macro = &node.macros[0], .scope = frame_}));
  print(*out_, call(node.exprs[0], caller));
}

void Interpreter::set(int name, const Value& value) {
  for (auto& [known, held] : frame_->variables) {
    if (known != name) continue;
    held = value;
    return;
  }
  frame_->variables.emplace_back(name, value);
}

void Interpreter::assign(const Target& target, const Value& value) {
  if (target.tuple) {
    const std::vector<Value>& items = items_of(rt_, value).items;
    if (items.size() != target.parts.size())
      rt_.error("{} names for {} values", target.parts.size(), items.size());
    for (size_t i = 0; i < items.size(); ++i) assign(target.parts[i], items[i]);
    return;
  }
  if (target.attribute.empty()) return set(target.name, value);
  const Value object = lookup({.kind = ExprKind::kName, .at = target.at, .name = target.name});
  if (!object.is(Kind::kNamespace))
    rt_.error("only a namespace takes attributes, not {}", object.type_name());
  rt_.set(object.as_dict(), Value::borrowed(target.attribute), value);
}

}  // namespace cria::jinja
