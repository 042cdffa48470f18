// node.h - the parsed form of a Jinja template.
#pragma once

#include "text/jinja/routine.h"
#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

#include <string>
#include <string_view>
#include <vector>

namespace cria::jinja {

enum class ExprKind : uint8_t {
  kConstant,
  kName,
  kList,
  kTuple,
  kDict,       // parts: key, value, key, value, ...
  kAttribute,  // parts[0].text
  kItem,       // parts[0][parts[1]]
  kSlice,      // only as parts[1] of kItem; three parts, absent ones are None
  kCall,       // parts[0](the others, keywords)
  kFilter,     // parts[0] | text(the others, keywords)
  kTest,       // parts[0] is text(the others, keywords)
  kBody,       // in a filter block: the text that is filtered
  kNegate,
  kPlus,
  kNot,
  kAnd,
  kOr,
  kCompare,  // parts with operators between them
  kConcat,
  kBinary,
  kCondition,  // parts: then, test, else
};

enum class Operator : uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
};

struct Expr {
  ExprKind kind = ExprKind::kConstant;
  Position at = {};
  std::string_view text;  // into the source
  int name = -1;          // kName: its number in Program::names
  int depth = 1;          // of the tree below
  Value constant;
  const Routine* routine = nullptr;  // of a filter or test; null when there is none of that name
  std::vector<Operator> operators;
  std::vector<Expr> parts;
  std::vector<std::string_view> keywords;  // names of the last parts
};

// What an assignment writes to.
struct Target {
  int name = -1;  // a variable, or the namespace that has `attribute`
  std::string_view attribute;
  std::vector<Target> parts;  // of a tuple; then name is -1
  bool tuple = false;
  Position at = {};
};

struct Node;
using Nodes = std::vector<Node>;

struct Macro {
  std::string_view name;
  std::vector<int> parameters;
  std::vector<std::string_view> parameter_names;
  std::vector<Expr> defaults;  // of the last parameters
  bool reads_caller = false, reads_varargs = false, reads_kwargs = false;
  Nodes body;  // no initializer: Node is incomplete here
};

enum class NodeKind : uint8_t {
  kData,
  kOutput,
  kIf,        // exprs: one per condition; bodies: theirs, then perhaps that of else
  kFor,       // exprs: list, perhaps condition; bodies: turn, else
  kSet,       // exprs: value
  kSetBlock,  // exprs: perhaps a filter of kBody
  kMacro,
  kCall,    // exprs: call; macros[0]: the caller
  kFilter,  // exprs: filter of kBody
  kScope,   // generation, with: targets = exprs, then bodies[0]
  kBreak,
  kContinue,
};

struct Node {
  NodeKind kind;
  Position at = {};
  std::string_view text;
  std::vector<Target> targets;
  std::vector<Expr> exprs;
  std::vector<Nodes> bodies;
  std::vector<Macro> macros;
};

// A template, parsed. Variables are numbered: a render looks each up once.
struct Program {
  std::string source;  // normalized; texts point into it
  Runtime constants{Limits{}};
  std::vector<std::string_view> names;
  int loop = -1, caller = -1, varargs = -1, kwargs = -1;  // numbers of these names
  Nodes root;
};

}  // namespace cria::jinja
