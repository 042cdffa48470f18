// prepare_queue.h - the requests that wait, in the order in which they came, and the threads that
// prepare them meanwhile.
//
// One thread prepares short requests and one long ones, so that a text of megabytes holds up
// neither a step nor a short request. The first of those that are ready is the next.
#pragma once

#include "engine/heartbeat.h"
#include "engine/prepare.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

namespace cria::engine {

class PrepareQueue {
 public:
  using Prepare = std::function<Prepared(Unprepared request, const Cancelled& cancelled)>;
  struct Watchers {
    Heartbeat* heart = nullptr;      // hears of the threads' work; outlives the queue
    std::function<void()> on_ready;  // something can be taken; called by several threads
  };

  // `prepare` is called by several threads at a time.
  PrepareQueue(Prepare prepare, Watchers watchers);
  PrepareQueue(const PrepareQueue&) = delete;
  PrepareQueue& operator=(const PrepareQueue&) = delete;

  // Safe to call from any thread.
  void submit(Unprepared request);
  // Drops a request; false when there is none with this id.
  bool cancel(uint64_t id);
  bool empty() const;
  // Whether an answer could begin.
  bool has_answer() const;
  // Whether one of the take functions has something to give.
  bool has_ready() const;
  // The first answer that could begin.
  std::optional<PreparedAnswer> take_answer();
  // All that is ready and no answer: what is embedded, and what has ended.
  std::vector<Prepared> take_others();
  // Returns when something is ready, or the queue is empty.
  void wait_for_one() const;
  // Returns when all is ready that is prepared before something is taken.
  void wait_for_all() const;

 private:
  enum Lane : uint8_t { kShort, kLong };
  enum class State : uint8_t { kWaits, kIsPrepared, kReady };
  struct Item {
    uint64_t id = 0;
    Lane lane = kShort;
    State state = State::kWaits;
    std::atomic<bool> cancelled = false;
    Unprepared request;
    Prepared result;

    // Before it is prepared.
    bool may_answer() const { return std::holds_alternative<protocol::Generate>(request); }
    bool is_answer() const {
      return state == State::kReady && std::holds_alternative<PreparedAnswer>(result);
    }
  };

  static Lane lane_of(const Unprepared& request);
  void work(const std::stop_token& stop, Lane lane);
  Item* next(Lane lane);  // with the lock, as all that look at items_
  bool full(Lane lane) const;
  bool any_ready() const;
  bool all_ready() const;

  const Prepare prepare_;
  const Watchers watchers_;
  mutable std::mutex mutex_;
  mutable std::condition_variable_any changed_;
  std::list<Item> items_;
  std::jthread short_, long_;  // the last to be made, the first to end
};

}  // namespace cria::engine
