// node.h - the parsed form of a template. Internal to text/; chat/ reads it to find tags.
#pragma once

#include "text/template/value.h"

#include <map>
#include <string>
#include <vector>

namespace cria::text {

struct Position {
  int line = 1, column = 1;  // 1-based, column in bytes
};

struct Pipe;

enum class ExprKind : uint8_t {
  kField,
  kVariable,
  kDot,
  kNil,
  kConstant,
  kFunction,
  kPipe,
  kChain
};

// One word of a command. kField: fields of dot. kVariable: name in text, then fields. kChain:
// base[0] (a parenthesised pipeline, a function or a constant), then fields. kConstant: text is a
// number that no int holds.
struct Expr {
  ExprKind kind = ExprKind::kDot;
  Position at;
  std::string text;
  std::vector<std::string> fields;
  Value constant;
  std::vector<Pipe> pipe;  // kPipe: exactly one
  std::vector<Expr> base;  // kChain: exactly one
};

struct Command {
  Position at;
  std::vector<Expr> words;
};

struct Pipe {
  Position at;
  std::vector<std::string> variables;  // with the dollar sign
  bool assigns = false;                // "=" rather than ":="
  std::vector<Command> commands;
};

enum class NodeKind : uint8_t { kText, kAction, kIf, kRange, kWith, kTemplate, kBreak, kContinue };

struct Node {
  NodeKind kind = NodeKind::kText;
  Position at;
  std::string text;        // kText: the text; kTemplate: its name
  std::vector<Pipe> pipe;  // none or one
  std::vector<Node> body, otherwise;
};

using Nodes = std::vector<Node>;

struct ParsedTemplate {
  Nodes root;
  std::map<std::string, Nodes> defined;
};

}  // namespace cria::text
