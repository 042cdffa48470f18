// heartbeat.h - tells the server that a runner's work goes on, for as long as there is some.
//
// A step may take long on a slow machine, and so may a prompt's text: rendering, tokenising, the
// rules of a format. So the sign of life is not a step that ended. While a plan runs it is a stage
// that ended; outside of one it is processor time of the working thread, whose work on texts has
// limits of its own. A thread that waits for what never comes gives neither, nor does one that goes
// round and round without a stage.
//
// Prompts are prepared beside the steps, by threads of their own. Whoever waits for an answer waits
// for all of them, so a sign of the engine is one that none of its threads fails to give. (The
// server also hears what other answers say: a stuck preparation beside them is not seen as long as
// they go on.)
#pragma once

#include "engine/generation.h"
#include "ml/backend.h"
#include "protocol/protocol.h"

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <ctime>
#include <initializer_list>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

namespace cria::engine {

class Heartbeat {
 public:
  static constexpr std::chrono::milliseconds kInterval{250};  // at least, between two signs
  // kPrompts and kLongPrompts prepare what kSteps runs.
  enum Worker : uint8_t { kSteps, kPrompts, kLongPrompts, kTexts };

  // Both outlive it. `emit` may be called from a thread of its own.
  Heartbeat(const ml::Plan& plan, const Emit& emit);

  // The calling thread, the only one of its kind, begins another round of its work, or has nothing
  // to do.
  void begin(Worker worker);
  void end(Worker worker);

 private:
  struct Pulse {
    uint64_t stages = 0, rounds = 0;
    int64_t cpu_ns = 0;
  };
  struct Work {
    std::optional<clockid_t> clock;  // of the thread's processor time, while it works
    uint64_t rounds = 0;
    Pulse last;
  };
  enum class Sign : uint8_t { kNone, kBegan, kGoesOn };
  Sign sign_of(Worker worker);
  bool go_on(std::initializer_list<Worker> workers);
  void beat(const std::stop_token& stop);
  void send(const protocol::Alive& alive) const noexcept;

  const ml::Plan& plan_;
  const Emit& emit_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::array<Work, 4> work_;
  std::jthread thread_;  // the last to be made, the first to end
};

}  // namespace cria::engine
