// prompt.h - from messages to the text a model reads, through its Go template.
#pragma once

#include "base/json.h"
#include "text/chat/messages.h"
#include "text/chat/tags.h"
#include "text/template/template.h"

#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cria::text {

struct ChatInput {
  Json messages = Json::array();  // Ollama's wire form
  Json tools = Json::array();
  Json think;                  // null (unset), bool, "low", "medium", "high", "max"
  std::optional<std::tm> now;  // for templates that print the date; absent: the local time
};

struct Capabilities {
  bool tools = false, insert = false, thinking = false;
};

// A model's prompt format, ready to render. Immutable.
class PromptTemplate {
 public:
  // Throws Error{kInvalidInput}: "template error: ..." with line and column.
  static PromptTemplate parse(std::string_view source);

  // System, user and assistant turns as the template writes them, up to where the answer starts.
  std::string render_chat(const ChatInput& input) const;
  // Fill in the middle: what stands before and after the answer.
  std::string render_insert(std::string_view prompt, std::string_view suffix,
                            const Json& think) const;

  // The template reads a variable of this name (any case): "suffix".
  bool uses(std::string_view name) const;
  const Capabilities& capabilities() const { return capabilities_; }
  const AnswerMarks& marks() const { return marks_; }

 private:
  friend struct PromptRenderer;
  PromptTemplate(Template whole, Template open);

  Template whole_, open_;  // open_ ends behind .Response: the last turn of a legacy template
  std::vector<std::string> variables_;  // lower case
  AnswerMarks marks_;
  Capabilities capabilities_;
};

// The model's own MESSAGEs and SYSTEM before those of a chat request.
Json with_model_messages(const Json& model_messages, std::string_view model_system,
                         const Json& request_messages);
// Removes a leading <think>...</think> from answers before the last question: qwen3 and deepseek-r1
// were trained without it.
Json without_old_thinking(const Json& messages);

}  // namespace cria::text
