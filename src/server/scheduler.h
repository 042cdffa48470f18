// scheduler.h - which runners live: loading on demand, keep-alive, eviction, limits.
//
// A request borrows a runner as a Lease. A fitting loaded runner is lent at once; otherwise the
// request joins one queue, whose head loads. When the head has waited long, because busy runners
// stay busy, nobody overtakes it any more. Nothing here looks inside a model.
#pragma once

#include "api/duration.h"
#include "server/runner.h"

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

namespace cria::server {

// Bytes of a KV cache whose pages have been used.
int64_t kv_bytes_taken(const protocol::Loaded& loaded, const protocol::Usage& usage);

// What a request takes of its runner. Texts that are embedded or ranked share a place, as many
// requests as the runner computes together.
enum class Takes : uint8_t { kNothing, kPlace, kShare };

// What a request needs. `load.model_path` is the model's identity: names that share weights share a
// runner.
struct ModelUse {
  std::string name;    // short, as /api/ps shows it
  std::string digest;  // of the manifest
  Json details;
  protocol::Load load;
  int64_t num_ctx = 0;  // the name's own, as /api/ps shows it; 0: the default
  Takes takes = Takes::kPlace;
};

struct SchedulerOptions {
  size_t max_queue = 512;  // requests that wait, for a runner or for a place in one
  size_t max_loaded = 3;
  api::Nanoseconds keep_alive = std::chrono::minutes(5);
  api::Nanoseconds load_timeout = std::chrono::minutes(5);  // <= 0: none
  std::chrono::nanoseconds watchdog{0};                     // of loaded runners, <= 0: none
  // So long the queue's head lets others use the runners that it waits for.
  std::chrono::nanoseconds patience = std::chrono::seconds(5);
  std::string program = "/proc/self/exe";
  // Told of every runner that starts, and of every load that is refused and every runner that ends
  // without being asked to.
  std::function<void(const std::string& model)> on_start, on_failure;
};

class Scheduler;
struct Slot;

// A runner that stays loaded while this lives.
class Lease {
 public:
  Lease(Scheduler& scheduler, std::shared_ptr<Slot> slot, Takes takes);
  ~Lease();
  Lease(Lease&&) = default;
  Lease& operator=(Lease&&) = delete;
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  Runner& runner() const;

 private:
  Scheduler* scheduler_;
  std::shared_ptr<Slot> slot_;
  Takes takes_;
};

struct LoadedModel {
  std::string name, digest;
  Json details;
  int64_t size = 0;  // of the memory that it has taken
  int64_t context_length = 0;
  api::WallTime expires_at;
};

struct RunnerStatus {
  std::string name, digest;
  pid_t pid = 0;
  std::optional<protocol::Loaded> loaded;  // absent while it loads
  double progress = 0, seconds = 0;        // of loading, and since its start
  protocol::Usage usage;
  int leases = 0;
  api::WallTime expires_at;
  std::string reason;  // of a reload
};

struct QueuedRequest {
  std::string request, model;  // the request's id
  int64_t position = 1;        // among those of its model
};

struct SchedulerStatus {
  std::vector<RunnerStatus> runners;
  // Those that wait for a place in a runner, then those that wait for a runner; each in their order
  // and without those whose model is being loaded.
  std::vector<QueuedRequest> queue;
};

class Scheduler {
 public:
  explicit Scheduler(SchedulerOptions options);
  ~Scheduler();

  // Throws Error{kBusy} when the queue is full, {kCancelled} when `stop` is requested, {kInternal}
  // when the load fails, {kOutOfMemory} when it would not fit without the idle models either, which
  // then stay. Without `keep_alive` a loaded model keeps the value it has.
  Lease acquire(const ModelUse& use, std::optional<api::Nanoseconds> keep_alive,
                const std::stop_token& stop);
  // Ends the model's runner as soon as no request uses it.
  void unload(const std::string& model_path);
  std::vector<LoadedModel> loaded() const;
  SchedulerStatus status() const;
  // Ends every runner at once; acquire() fails from now on.
  void shut_down();
  protocol::Spawner& spawner() { return spawner_; }

 private:
  friend class Lease;
  using Lock = std::unique_lock<std::mutex>;
  struct Waiter;

  std::shared_ptr<Slot> find(const ModelUse& use) const;
  bool head_waits_too_long() const;
  size_t waiting() const;
  bool refuses(const Slot& slot, const ModelUse& use) const;
  std::shared_ptr<Slot> load(Lock& lock, const ModelUse& use, const Waiter& self,
                             const std::stop_token& stop);
  std::shared_ptr<Slot> load_with_room(Lock& lock, const ModelUse& use, const Waiter& self,
                                       const std::stop_token& stop);
  bool free_memory(Lock& lock, int64_t missing);
  std::vector<std::shared_ptr<Slot>> idle_that_hold(int64_t bytes) const;
  Error refusal(const Error& why) const;
  void check_fits(Lock& lock, const ModelUse& use) const;
  void make_room(Lock& lock, const ModelUse& use, const std::stop_token& stop);
  void wait(Lock& lock, const std::stop_token& stop);  // for any change
  void notify();                                       // the lock is held
  std::shared_ptr<Slot> start(Lock& lock, const ModelUse& use);
  int64_t promised_bytes() const;
  void remove(Lock& lock, const std::shared_ptr<Slot>& slot);
  void release(const std::shared_ptr<Slot>& slot, Takes takes);
  void sweep();  // the thread that unloads what has expired or died

  const SchedulerOptions options_;
  protocol::Spawner spawner_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<std::shared_ptr<Slot>> slots_;
  std::deque<Waiter*> queue_;
  std::map<std::string, int64_t> needs_;  // bytes that loads were refused for, by model path
  uint64_t changes_ = 0;
  std::string reload_reason_;  // of the load that the queue's head is about to start
  int processes_ = 0;          // runners whose reader has not ended
  bool ending_ = false;
  std::thread sweeper_;
};

}  // namespace cria::server
