// render.h - the text of a prompt: from messages or a bare prompt, in the model's chat format.
#pragma once

#include "engine/chat_format.h"
#include "engine/engine.h"
#include "protocol/protocol.h"
#include "text/chat/prompt.h"

#include <optional>
#include <string>
#include <vector>

namespace cria::engine {

class Renderer {
 public:
  // `load` gives the model's Go template, system text and first messages. Without a template the
  // model file's own `chat_template` (Jinja) decides: a known one has a Go form, others are told by
  // markers. Throws Error{kInvalidInput} for a template that does not parse.
  Renderer(const protocol::Load& load, std::string chat_template);
  // Drops the oldest turns but the system's until the text fits; the last turn always stays. Throws
  // Error{kInvalidInput} for messages of wrong types or a suffix that the template cannot take,
  // {kUnsupported} for an unknown format, also for tools where only markers are known.
  RenderedPrompt operator()(const protocol::Generate& request, const Fits& fits) const;

 private:
  Json messages_of(const protocol::Generate& request) const;

  std::string chat_template_;
  std::optional<text::PromptTemplate> template_;
  std::string system_;
  Json first_messages_;
};

}  // namespace cria::engine
