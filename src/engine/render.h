// render.h - the text of a prompt: from messages or a bare prompt, in the model's chat format.
#pragma once

#include "engine/chat_format.h"
#include "engine/engine.h"
#include "protocol/protocol.h"

#include <string>
#include <vector>

namespace cria::engine {

class Renderer {
 public:
  // `load` gives the model's template, system text and first messages; `chat_template` is the model
  // file's own, for a model without a template.
  Renderer(const protocol::Load& load, std::string chat_template);
  // Drops the oldest turns but the system's until the text fits; the last turn always stays. Throws
  // Error{kInvalidInput} for messages of wrong types, {kUnsupported} for an unknown format.
  RenderedPrompt operator()(const protocol::Generate& request, const Fits& fits) const;

 private:
  std::vector<ChatTurn> turns_of(const protocol::Generate& request) const;

  std::string template_;
  std::string system_;
  std::vector<ChatTurn> first_turns_;
};

}  // namespace cria::engine
