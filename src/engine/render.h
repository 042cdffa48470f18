// render.h - the text of a prompt: from messages or a bare prompt, in the model's chat format.
#pragma once

#include "engine/prepare.h"
#include "protocol/protocol.h"
#include "text/chat/jinja_prompt.h"
#include "text/chat/prompt.h"

#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace cria::engine {

class Renderer {
 public:
  // `model` gives the Go template, system text and first messages, `file` the chat template of the
  // model file; text::choose_prompt_path tells which of the two writes prompts. Throws
  // Error{kInvalidInput} for a Go template that does not parse.
  Renderer(const protocol::ModelText& model, const text::JinjaSource& file);
  // Drops the oldest turns but the system's until the text fits; the last turn always stays. Throws
  // Error{kInvalidInput} for messages of wrong types, or that the template refuses, or a suffix
  // that it cannot take; {kUnsupported} when the chat template is none that can be run.
  RenderedPrompt operator()(const protocol::Generate& request, const Fits& fits) const;

 private:
  Json messages_of(const protocol::Generate& request) const;
  std::optional<text::PromptTemplate> given_template(const protocol::Generate& request) const;

  std::optional<text::PromptTemplate> go_;
  std::optional<text::JinjaPrompt> jinja_;
  bool uses_jinja_ = false;
  std::string jinja_error_;  // why jinja_ is absent
  std::string system_;
  Json first_messages_;
};

// The renderers of the names that share a runner: those used last are kept. Safe to use from
// several threads.
class Renderers {
 public:
  explicit Renderers(text::JinjaSource file) : file_(std::move(file)) {}
  RenderedPrompt operator()(const protocol::Generate& request, const Fits& fits);

 private:
  struct Kept {
    protocol::ModelText model;
    std::shared_ptr<const Renderer> renderer;
  };
  std::shared_ptr<const Renderer> known(const protocol::ModelText& model);

  const text::JinjaSource file_;
  std::mutex mutex_;
  std::list<Kept> kept_;  // the last used first
};

}  // namespace cria::engine
