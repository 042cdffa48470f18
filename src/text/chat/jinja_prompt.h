// jinja_prompt.h - from messages to the text a model reads, through the Jinja template that its
// file brings along (tokenizer.chat_template).
#pragma once

#include "base/json.h"
#include "text/chat/prompt.h"
#include "text/chat/tags.h"
#include "text/jinja/template.h"

#include <string>
#include <string_view>

namespace cria::text {

// For renders that only find something out, of a few short messages: a template that needs more for
// them is up to something.
inline constexpr jinja::Limits kProbeLimits{.max_steps = 500'000, .max_output = 1 << 20};

// A model file's own template, and what it may write.
struct JinjaSource {
  std::string text;
  std::string bos, eos;   // of the special tokens; empty when there is none
  bool adds_bos = false;  // the tokenizer writes it, so the rendered text must not
};

class JinjaPrompt {
 public:
  // Throws Error{kInvalidInput} with line and column.
  static JinjaPrompt parse(const JinjaSource& source);

  // Up to where the answer starts; a last message of the assistant is the beginning of the answer.
  // Throws Error{kInvalidInput} with what the template says against the messages.
  std::string render(const ChatInput& input) const;
  const AnswerMarks& marks() const { return marks_; }

 private:
  JinjaPrompt(const JinjaSource& source, jinja::Template parsed);
  std::string render_list(Json messages, const Json& tools, const Json& think,
                          const jinja::Settings& settings) const;
  void probe();

  jinja::Template template_;
  std::string bos_;
  Json variables_;  // those that no request changes
  AnswerMarks marks_;
  bool adds_bos_;
  // Found out by trying, since templates differ and do not tell.
  bool takes_system_ = true;        // else the system's text goes before the first question
  bool arguments_as_text_ = false;  // a tool call's arguments are written as they are, not as JSON
};

}  // namespace cria::text
