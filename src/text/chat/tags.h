// tags.h - what a template tells about the model's answers: the marks of tool calls and of
// thinking.
#pragma once

#include "text/template/template.h"

#include <optional>
#include <string>

namespace cria::text {

struct ThinkingTags {
  std::string open, close;
};

// What a parser of answers looks for.
struct AnswerMarks {
  std::optional<ThinkingTags> thinking;
  std::string tool_tag;     // begins a tool call; "{" when the template does not tell
  bool bare_calls = false;  // small models forget the tag: an answer that begins with a call is one
};

std::string find_tool_tag(const Template& t);
std::optional<ThinkingTags> find_thinking_tags(const Template& t);

}  // namespace cria::text
