// interpreter.h - runs a parsed Jinja template.
#pragma once

#include "text/jinja/node.h"
#include "text/jinja/runtime.h"

#include <deque>
#include <optional>
#include <utility>
#include <vector>

namespace cria::jinja {

// The variables of a template, a loop or a macro; those around it follow.
struct Frame {
  Frame* parent = nullptr;
  std::vector<std::pair<int, Value>> variables = {};
  bool captured = false;  // a macro looks into it: it must stay
};

class Interpreter {
 public:
  // `program` and `variables` outlive it.
  Interpreter(const Program& program, const Json& variables, const Settings& settings);
  // Appends to what written() gives.
  void run();
  std::string& written() { return main_.string(); }

 private:
  enum class Flow { kNext, kBreak, kContinue };
  class Scope;

  Flow run(const Nodes& nodes);
  Flow run(const Node& node);
  Flow choose(const Node& node);
  Flow loop(const Node& node);
  void turn(const Node& node, const Value& element, const Value& loop);
  Flow set_block(const Node& node);
  Flow filter_block(const Node& node);
  Flow scope_block(const Node& node);
  void define_macro(const Node& node);
  void call_block(const Node& node);
  // What `body` writes, as a value.
  Value captured(const Nodes& body, Flow& flow);
  void assign(const Target& target, const Value& value);
  void set(int name, const Value& value);
  void keep_frames();

  Value evaluate(const Expr& e);
  Value composite(const Expr& e);
  Value lookup(const Expr& e);
  Value sequence(const Expr& e);
  Value dict(const Expr& e);
  Value subscript(const Expr& e);
  Value logical(const Expr& e);
  Value comparison(const Expr& e);
  Value concatenation(const Expr& e);
  Value filter_or_test(const Expr& e);
  Value call(const Expr& e, const Value& caller = {});
  Value call_function(const Function& function, const Arguments& arguments);
  Value call_macro(const Function& function, const Arguments& arguments);
  void bind(const Macro& macro, const Arguments& arguments);
  Arguments arguments(const Expr& e);

  const Program& program_;
  Runtime rt_;
  std::vector<Value> globals_;  // by number of the name
  Text main_;
  Text* out_ = &main_;
  std::deque<Frame> frames_;
  std::vector<Frame*> free_frames_;
  Frame* frame_ = nullptr;
  Value body_;  // of the filter block that runs
  int depth_ = 0;
};

}  // namespace cria::jinja
