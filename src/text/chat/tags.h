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

std::string find_tool_tag(const Template& t);
std::optional<ThinkingTags> find_thinking_tags(const Template& t);

}  // namespace cria::text
