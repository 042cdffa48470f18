// chat_template.h - what the text of a Jinja chat template tells without running it, and which of a
// model's two templates writes its prompts (rules of Ollama).
#pragma once

#include "text/chat/prompt.h"
#include "text/chat/tags.h"

#include <optional>
#include <string_view>

namespace cria::text {

// Tools and thinking; a Jinja template never fills in between.
Capabilities jinja_capabilities(std::string_view chat_template);
// How answers of such a model mark thinking and tool calls.
AnswerMarks jinja_marks(std::string_view chat_template);

enum class PromptPath {
  kPlain,  // no template at all: the prompt as it is
  kGo,     // the template layer
  kJinja,  // the chat template of the model file
};
// OLLAMA_GO_TEMPLATE, where it is set.
std::optional<bool> go_template_wanted();
// `go` is the parsed template layer with its text, or null; `go_wanted` is OLLAMA_GO_TEMPLATE where
// it is set. Without it the chat template is taken when it can do more.
PromptPath choose_prompt_path(const PromptTemplate* go, std::string_view go_text,
                              std::string_view chat_template, std::optional<bool> go_wanted);

}  // namespace cria::text
