// engine.h - continuous batching: many requests, one model, one step at a time.
//
// One thread owns an Engine, but any may submit: a request is prepared by threads of the engine's
// own (prepare_queue.h) and begins at a step after that. An Error inside a request ends that
// request with a Failure and nothing else.
#pragma once

#include "engine/batcher.h"
#include "engine/constraint.h"
#include "engine/embedder.h"
#include "engine/generation.h"
#include "engine/loader.h"
#include "engine/prepare_queue.h"
#include "engine/speculation.h"
#include "protocol/protocol.h"

#include <cstdint>
#include <functional>
#include <list>
#include <utility>
#include <vector>

namespace cria::engine {

class Engine {
 public:
  // `loaded` outlives the engine; `emit` gets all events of all requests, in the owner's thread.
  // `watchers` are those of the queue.
  Engine(LoadedEngine& loaded, Render render, Emit emit, PrepareQueue::Watchers watchers = {});

  void submit(Unprepared request) { queue_.submit(std::move(request)); }  // from any thread
  void cancel(uint64_t id);
  // Whether there is something for a step to do; whether there is or will be.
  bool has_work() const { return !running_.empty() || embedder_.busy() || queue_.has_ready(); }
  bool busy() const { return has_work() || !queue_.empty(); }
  // Starts what waits, runs one step, answers what ended. Without anything to do it waits for what
  // is prepared.
  void step();
  // Until all that was submitted is prepared: the next steps are then the same each time.
  void wait_prepared() const { queue_.wait_for_all(); }

 private:
  // How many more sequences may run. Texts that are embedded take one place together; where answers
  // and texts wait for a place, they get it in turn.
  int64_t places() const;
  // Where somebody waits for pages, one whose turn is over waits behind them.
  void take_turns();
  // Whether no more may begin because some wait for pages.
  bool new_ones_wait() const;
  // Room in everybody's context, and pages for those that wait for some.
  void make_room();
  bool has_pages_for(const Generation& paused) const;
  // Runs `body`, which takes pages for `self`. While there are none, the youngest request gives its
  // own back and waits. False when that is `self`.
  bool with_pages(Generation& self, const std::function<void()>& body);
  Generation* to_pause(Generation& self);
  void take_prepared();
  void start_waiting();
  void embed();
  // Whether the next step would read all weights that are in the file alone.
  bool reads_weights() const;
  void run_step();
  std::vector<BatchItem> choose_rows();
  // Numbers of guesses for those that are ready, all of them generating.
  std::vector<int64_t> choose_guesses(std::span<Generation* const> ready) const;
  void record(std::span<const BatchItem> items, double seconds);

  LoadedEngine& loaded_;
  const Speculation speculation_;
  GenerationContext shared_;
  Batcher batcher_;
  Embedder embedder_;
  StepSizer sizer_;
  StepCosts costs_;
  std::list<Generation> running_;
  bool embeds_next_ = false;  // texts get the next free place
  size_t turn_ = 0;           // who gets the first share of prompt rows
  bool stepped_ = false;
  Preparer preparer_;
  PrepareQueue queue_;  // the last to be made: its threads end first
};

}  // namespace cria::engine
