// prepare.h - what a request needs before it can run: its text rendered, fitted and tokenised, its
// format compiled.
//
// That may take seconds, and reads only what no step changes. So it is done beside the steps
// (PrepareQueue), by several threads at a time.
#pragma once

#include "engine/constraint.h"
#include "engine/generation.h"
#include "engine/loader.h"
#include "engine/options.h"
#include "engine/prompt.h"
#include "protocol/protocol.h"
#include "text/chat/parse.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace cria::engine {

// Makes the text of the prompt from a request; `fits` tells whether a candidate is short enough
// when messages may be dropped. Called by several threads at a time.
struct RenderedPrompt {
  std::string text;
  int64_t truncated_messages = 0;
  std::string untruncated;                   // the text with them; empty when there are none
  std::optional<text::OutputParser> parser;  // of the answer; none: all of it is content
};
using Fits = std::function<bool(const std::string& text)>;
using Render = std::function<RenderedPrompt(const protocol::Generate& request, const Fits& fits)>;

// An answer that can begin.
struct PreparedAnswer {
  protocol::Generate request;  // without its texts, which the prompt holds
  GenerationOptions options;
  Prompt prompt;
  AnswerRules rules;
};

// Texts that can be embedded.
struct PreparedTexts {
  struct Text {
    std::vector<TokenId> tokens;
    int64_t truncated = 0;  // tokens that did not fit
    int64_t second = 0;     // where the second text of a pair begins, 0: there is none
  };
  protocol::Embed request;  // without its inputs
  std::vector<Text> texts;
  std::chrono::steady_clock::time_point start;
};

using Unprepared = std::variant<protocol::Generate, protocol::Embed>;
// An event is all there is to say: the request has ended.
using Prepared = std::variant<PreparedAnswer, PreparedTexts, protocol::Event>;
// Whether nobody waits for it any more.
using Cancelled = std::function<bool()>;

class Preparer {
 public:
  // `loaded` outlives it.
  Preparer(const LoadedEngine& loaded, Render render);
  // Safe to call from several threads. What is wrong with a request is the Failure that it gets.
  // When it was cancelled it ends, with anything, before the next text or the format.
  Prepared operator()(Unprepared request, const Cancelled& cancelled);

 private:
  Prepared prepare(protocol::Generate& request, const Cancelled& cancelled);
  Prepared prepare(protocol::Embed& request, const Cancelled& cancelled) const;
  // How many of so many tokens are too many; refuses them where the request does.
  int64_t excess(const protocol::Embed& request, int64_t length) const;
  PreparedTexts::Text tokenize(const protocol::Embed& request, const std::string& input) const;
  PreparedTexts::Text tokenize_pair(const protocol::Embed& request, const std::string& input) const;
  void check(const std::vector<TokenId>& ids) const;

  const LoadedEngine& loaded_;
  Render render_;
  Formats formats_;
};

}  // namespace cria::engine
