// render.h - the text of a prompt: from messages or a prompt, through the model's template.
#pragma once

#include "engine/engine.h"
#include "protocol/protocol.h"

#include <string>

namespace cria::engine {

class Renderer {
 public:
  // `load` gives the model's template, system text and first messages and outlives the renderer.
  Renderer(const protocol::Load& load, const std::string& chat_template);
  RenderedPrompt operator()(const protocol::Generate& request, const Fits& fits) const;

 private:
  const protocol::Load& load_;
};

}  // namespace cria::engine
