#include "text/chat/chat_template.h"

#include "base/settings.h"

#include <array>

namespace cria::text {
namespace {

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

template <size_t n>
bool has_any(std::string_view text, const std::array<std::string_view, n>& parts) {
  for (const std::string_view part : parts)
    if (has(text, part)) return true;
  return false;
}

// The template shows calls of tools and their results, not only the tools.
bool jinja_round_trip(std::string_view text) {
  constexpr std::array<std::string_view, 9> kResults = {"tool_response",
                                                        "tool_results",
                                                        "role'] == 'tool'",
                                                        "role'] == \"tool\"",
                                                        "role\"] == 'tool'",
                                                        "role\"] == \"tool\"",
                                                        "message.role == 'tool'",
                                                        "message.role == \"tool\"",
                                                        "ipython"};
  return has(text, "tools") && (has(text, "tool_calls") || has(text, "assistant_tool_call")) &&
         has_any(text, kResults);
}

bool go_round_trip(const PromptTemplate& go, std::string_view text) {
  constexpr std::array<std::string_view, 3> kResults = {"eq .Role \"tool\"", "tool_response",
                                                        "TOOL_RESULTS"};
  return go.uses("tools") && go.uses("toolcalls") && has_any(text, kResults);
}

struct ToolMark {
  std::string_view mark;  // stands in the template
  std::string_view tag;   // begins a call in an answer
};

// The first row that fits; only formats whose calls are JSON (spec modelfile-and-templates 13.2).
constexpr std::array kToolMarks = {
    ToolMark{"<tool_call>", "<tool_call>"},     ToolMark{"[TOOL_CALLS]", "[TOOL_CALLS]"},
    ToolMark{"<|tool_call|>", "<|tool_call|>"}, ToolMark{"<|python_tag|>", "{"},
    ToolMark{"functools[", "functools"},
};

struct ThinkingMark {
  std::string_view open, close;
};
constexpr std::array kThinkingMarks = {
    ThinkingMark{"<think>", "</think>"},
    ThinkingMark{"[THINK]", "[/THINK]"},
    ThinkingMark{"<seed:think>", "</seed:think>"},
    ThinkingMark{"<|START_THINKING|>", "<|END_THINKING|>"},
};

}  // namespace

Capabilities jinja_capabilities(std::string_view text) {
  const bool split =
      has(text, "content.split('</think>')") || has(text, "content.split(\"</think>\")");
  return {.tools = has(text, "tools") || has(text, "tool_call"),
          .thinking = (has(text, "<think>") && has(text, "</think>")) ||
                      (split && !has(text, "reasoning_content") && !has(text, "<SPECIAL_12>"))};
}

AnswerMarks jinja_marks(std::string_view text) {
  AnswerMarks marks{.tool_tag = "{", .bare_calls = true};
  for (const ToolMark& row : kToolMarks)
    if (has(text, row.mark)) {
      marks.tool_tag = row.tag;
      break;
    }
  for (const ThinkingMark& row : kThinkingMarks)
    if (has(text, row.close)) {
      marks.thinking = ThinkingTags{.open = std::string(row.open), .close = std::string(row.close)};
      break;
    }
  return marks;
}

std::optional<bool> go_template_wanted() {
  if (setting("OLLAMA_GO_TEMPLATE").empty()) return std::nullopt;
  return setting_flag("OLLAMA_GO_TEMPLATE");
}

PromptPath choose_prompt_path(const PromptTemplate* go, std::string_view go_text,
                              std::string_view chat_template, std::optional<bool> go_wanted) {
  if (go == nullptr) return chat_template.empty() ? PromptPath::kPlain : PromptPath::kJinja;
  if (chat_template.empty()) return PromptPath::kGo;
  if (go_wanted) return *go_wanted ? PromptPath::kGo : PromptPath::kJinja;
  const Capabilities jinja = jinja_capabilities(chat_template), own = go->capabilities();
  const int more = (jinja.tools + jinja.thinking) - (own.tools + own.thinking + own.insert);
  const bool trip = jinja_round_trip(chat_template), own_trip = go_round_trip(*go, go_text);
  const bool same = jinja.tools == own.tools && jinja.thinking == own.thinking && !own.insert;
  if ((more > 0 && (!own_trip || trip)) || (same && jinja.tools && trip && !own_trip))
    return PromptPath::kJinja;
  return PromptPath::kGo;
}

}  // namespace cria::text
