// runner.h - one loaded model: its process, and the requests that run in it.
//
// One thread reads the runner's events and hands each to the request it belongs to; it never waits
// for a request, owns a reference to the runner, and ends with the process. A runner that dies
// fails its requests with kRunnerStopped and nobody else's. A second thread watches: a runner that
// owes answers and gives no sign of life for too long is ended.
#pragma once

#include "protocol/child.h"
#include "protocol/protocol.h"

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace cria::server {

inline constexpr std::string_view kRunnerStopped =
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal "
    "error, check ollama server logs for details";

class Runner;

// What the reader has got for one request and the request has not yet taken.
class EventQueue {
 public:
  void put(protocol::Event event);
  void end(const Error& why);
  protocol::Event next(const std::stop_token& stop);

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<protocol::Event> events_;
  size_t bytes_ = 0;  // of text that waits in events_
  std::optional<Error> error_;
};

// The events of one request, in order. Its destruction cancels the request unless that has ended.
class Generation {
 public:
  Generation(std::shared_ptr<Runner> runner, uint64_t id, std::shared_ptr<EventQueue> queue);
  ~Generation();
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  // Begun, then its answer, at last Done, after which there is nothing more. Throws what the runner
  // reported, Error{kInternal, kRunnerStopped} when it died, {kCancelled} when `stop` is requested.
  protocol::Event next(const std::stop_token& stop) { return queue_->next(stop); }
  uint64_t id() const { return id_; }

 private:
  const std::shared_ptr<Runner> runner_;
  const uint64_t id_;
  const std::shared_ptr<EventQueue> queue_;
};

class Runner : public std::enable_shared_from_this<Runner> {
 public:
  // What is done with a runner from its start to its end.
  struct Care {
    // A loaded runner with a request is ended after such a time without a sign of life; <= 0:
    // never.
    std::chrono::nanoseconds watchdog{0};
    // Called once, from the reader's thread, when the process has ended and been reaped; with true
    // when nobody had asked it to. One that refuses to load for want of memory, and says how much,
    // has not failed: whoever waits for it may make room.
    std::function<void(bool failed)> on_end;
  };

  // Starts the process and its loading.
  static std::shared_ptr<Runner> start(protocol::Spawner& spawner, const protocol::Load& load,
                                       Care care);

  // Throws Error{kInternal} with the reason when the load failed, or made no progress for `stall`;
  // {kOutOfMemory} when the memory does not hold the model, with the shortage where it is known;
  // {kCancelled} when `stop` is requested (the load goes on).
  protocol::Loaded wait_loaded(std::chrono::nanoseconds stall, const std::stop_token& stop);
  std::unique_ptr<Generation> submit(protocol::Generate request) {
    return send(std::move(request));
  }
  // With events into a queue that several requests share; theirs carry their ids.
  std::unique_ptr<Generation> submit(protocol::Generate request,
                                     const std::shared_ptr<EventQueue>& events) {
    return send(std::move(request), events);
  }
  std::unique_ptr<Generation> submit(protocol::Embed request) { return send(std::move(request)); }
  std::unique_ptr<Generation> submit(protocol::Tokenize request) {
    return send(std::move(request));
  }
  std::unique_ptr<Generation> submit(protocol::Detokenize request) {
    return send(std::move(request));
  }
  bool alive() const;
  // Ends the process; requests that still run fail.
  void kill();
  // Tells an idle one to end, and lets it write its prompts first. It is killed when that takes
  // too long.
  void retire();
  void wait_ended(std::chrono::milliseconds timeout);
  double progress() const;  // of loading, 0 to 1
  protocol::Usage usage() const;
  int64_t parallel() const;  // requests that it serves at a time
  // The ids of the requests that wait for a place among those that run, in their order.
  std::vector<std::string> waiting() const;
  pid_t pid() const { return child_->pid(); }

 private:
  friend class Generation;
  enum Worker : uint8_t { kSteps, kTexts };  // of the runner: they get on independently
  // One request. It stays until its last event, also when nobody waits for that any more.
  struct Work {
    std::shared_ptr<EventQueue> queue;  // null: it was dropped
    Worker worker = kSteps;
    std::string request;  // the id of the client's
    bool begun = false;   // it has a place, or needs none
  };
  Runner(std::unique_ptr<protocol::Child> child, Care care);
  template <class Message>
  std::unique_ptr<Generation> send(
      Message request, const std::shared_ptr<EventQueue>& queue = std::make_shared<EventQueue>());
  void read();
  bool dispatch(protocol::Event event);  // false: the runner has given up
  void finish(const std::string& why);
  void cancel(uint64_t id);
  void watch();
  bool owes(Worker worker) const;
  void give_up(const std::string& why);
  void end_all(const Error& why);  // requests

  const std::unique_ptr<protocol::Child> child_;
  Care care_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<uint64_t, Work> running_;
  std::array<std::chrono::nanoseconds, 2> silence_{};  // of each worker that owes something
  uint64_t next_id_ = 1;
  double progress_ = 0;
  protocol::Usage usage_;
  std::optional<protocol::Loaded> loaded_;
  std::optional<Error> failure_;
  std::chrono::steady_clock::time_point last_sign_;  // of progress
  bool ended_ = false, killed_ = false, retired_ = false;
};

}  // namespace cria::server
