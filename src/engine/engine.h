// engine.h - continuous batching: many requests, one model, one step at a time.
//
// One thread owns an Engine. An Error inside a request ends that request with a Failure and nothing
// else.
#pragma once

#include "engine/batcher.h"
#include "engine/constraint.h"
#include "engine/embedder.h"
#include "engine/generation.h"
#include "engine/loader.h"
#include "engine/prompt.h"
#include "engine/speculation.h"
#include "protocol/protocol.h"
#include "text/chat/parse.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <vector>

namespace cria::engine {

// Makes the text of the prompt from a request; `fits` tells whether a candidate is short enough
// when messages may be dropped.
struct RenderedPrompt {
  std::string text;
  int64_t truncated_messages = 0;
  std::string untruncated;                   // the text with them; empty when there are none
  std::optional<text::OutputParser> parser;  // of the answer; none: all of it is content
};
using Fits = std::function<bool(const std::string& text)>;
using Render = std::function<RenderedPrompt(const protocol::Generate& request, const Fits& fits)>;

class Engine {
 public:
  // `loaded` outlives the engine; `emit` gets all events of all requests.
  Engine(LoadedEngine& loaded, Render render, Emit emit);

  void submit(protocol::Generate request);
  void submit(protocol::Embed request) { embedder_.submit(std::move(request)); }
  void cancel(uint64_t id);
  bool busy() const { return generates() || embedder_.busy(); }
  // Starts what waits, runs one step, answers what ended.
  void step();

 private:
  bool generates() const { return !waiting_.empty() || !running_.empty(); }
  // How many more sequences may run. Texts that are embedded take one place together; where answers
  // and texts wait for a place, they get it in turn.
  int64_t places() const;
  // Room in everybody's context, and pages for those that wait for some.
  void make_room();
  bool has_pages_for(const Generation& paused) const;
  // Runs `body`, which takes pages for `self`. While there are none, the youngest request gives its
  // own back and waits. False when that is `self`.
  bool with_pages(Generation& self, const std::function<void()>& body);
  Generation* to_pause(Generation& self);
  void start_waiting();
  void embed();
  void start(const protocol::Generate& request);
  void run_step();
  std::vector<BatchItem> choose_rows();
  // Numbers of guesses for those that are ready, all of them generating.
  std::vector<int64_t> choose_guesses(std::span<Generation* const> ready) const;
  void record(std::span<const BatchItem> items, double seconds);

  LoadedEngine& loaded_;
  const Speculation speculation_;
  Render render_;
  GenerationContext shared_;
  Batcher batcher_;
  Embedder embedder_;
  StepSizer sizer_;
  StepCosts costs_;
  Formats formats_;
  std::deque<protocol::Generate> waiting_;
  std::list<Generation> running_;
  bool embeds_next_ = false;  // texts get the next free place
  size_t turn_ = 0;           // who gets the first share of prompt rows
};

}  // namespace cria::engine
