#include "text/chat/tags.h"

#include "text/template/node.h"

#include <algorithm>

namespace cria::text {

namespace {

bool mentions(const Pipe& pipe, std::string_view field);

bool mentions(const Expr& e, std::string_view field) {
  const auto inside = [&](const auto& part) { return mentions(part, field); };
  return std::find(e.fields.begin(), e.fields.end(), field) != e.fields.end() ||
         std::any_of(e.pipe.begin(), e.pipe.end(), inside) ||
         std::any_of(e.base.begin(), e.base.end(), inside);
}

bool mentions(const Pipe& pipe, std::string_view field) {
  for (const Command& c : pipe.commands) {
    for (const Expr& e : c.words) {
      if (mentions(e, field)) return true;
    }
  }
  return false;
}

bool reads_thinking(const Pipe& pipe) {
  for (const Command& c : pipe.commands) {
    for (const Expr& e : c.words) {
      if (e.kind == ExprKind::kField && e.fields[0] == "Thinking") return true;
      for (const Pipe& p : e.pipe) {
        if (reads_thinking(p)) return true;
      }
    }
  }
  return false;
}

std::string trimmed(std::string_view s) {
  const size_t begin = s.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return "";
  return std::string(s.substr(begin, s.find_last_not_of(" \t\r\n") - begin + 1));
}

const Node* find_tool_branch(const Nodes& nodes) {
  for (const Node& n : nodes) {
    if (n.kind == NodeKind::kIf && mentions(n.pipe[0], "ToolCalls")) return &n;
    if (const Node* found = find_tool_branch(n.body)) return found;
    if (const Node* found = find_tool_branch(n.otherwise)) return found;
  }
  return nullptr;
}

std::string first_text(const Nodes& nodes) {
  for (const Node& n : nodes) {
    if (n.kind == NodeKind::kText && !trimmed(n.text).empty()) return n.text;
    if (n.kind == NodeKind::kText) continue;
    if (n.kind == NodeKind::kIf || n.kind == NodeKind::kRange || n.kind == NodeKind::kWith)
      return first_text(n.body);
    return "";
  }
  return "";
}

// The innermost list of nodes around the last .Thinking inside a range over the messages.
void find_thinking(const Nodes& nodes, bool in_messages, const Nodes*& found) {
  for (const Node& n : nodes) {
    if (in_messages && !n.pipe.empty() && reads_thinking(n.pipe[0])) found = &nodes;
    const bool inside =
        in_messages || (n.kind == NodeKind::kRange && mentions(n.pipe[0], "Messages"));
    find_thinking(n.body, inside, found);
    find_thinking(n.otherwise, inside, found);
  }
}

}  // namespace

std::string find_tool_tag(const Template& t) {
  const Node* branch = find_tool_branch(t.parsed().root);
  std::string text = branch ? first_text(branch->body) : "";
  text.erase(std::remove(text.begin(), text.end(), '\r'), text.end());
  text = trimmed(text.substr(0, text.find('{')));
  return text.empty() ? "{" : text;
}

std::optional<ThinkingTags> find_thinking_tags(const Template& t) {
  const Nodes* list = nullptr;
  find_thinking(t.parsed().root, false, list);
  if (!list) return std::nullopt;
  const Node& first = list->front();
  const Node& last = list->back();
  if (first.kind != NodeKind::kText || last.kind != NodeKind::kText) return std::nullopt;
  ThinkingTags tags{trimmed(first.text), trimmed(last.text)};
  if (tags.open.empty() || tags.close.empty()) return std::nullopt;
  return tags;
}

}  // namespace cria::text
