#include "server/scheduler.h"

#include "base/log.h"
#include "base/log_context.h"
#include "server/requests.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace cria::server {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kEndTimeout{10};

Clock::time_point after(api::Nanoseconds keep_alive) {
  const auto now = Clock::now();
  return keep_alive >= Clock::time_point::max() - now ? Clock::time_point::max() : now + keep_alive;
}

}  // namespace

struct Slot {
  ModelUse use;
  std::shared_ptr<Runner> runner;
  std::optional<protocol::Loaded> loaded;  // absent while it loads
  int leases = 0, takers = 0;              // takers: those of places
  api::Nanoseconds keep_alive{0};
  Clock::time_point expires = Clock::time_point::max();
  Clock::time_point started = Clock::now();
  std::string reason;  // why it took the place of another runner of these weights

  api::WallTime expires_at() const;
  bool is(const ModelUse& other) const { return use.load.model_path == other.load.model_path; }
  bool fits(const ModelUse& other) const { return is(other) && difference(other).empty(); }
  // What has to be loaded anew to serve `other`, in words; empty: nothing.
  std::string difference(const ModelUse& other) const;
  // The requests that it serves at a time.
  int64_t places() const {
    return std::max<int64_t>(1, loaded ? loaded->parallel : use.load.parallel);
  }
  // Of a request that says nothing of it.
  int64_t context() const {
    return use.num_ctx > 0 ? std::min(use.num_ctx, loaded->longest_context)
                           : loaded->context_length;
  }
  // How many more take a place than there are.
  int64_t waiting() const { return std::max<int64_t>(0, takers - places()); }
  // Whether it is idle and may write its prompts before it ends.
  bool retires() const { return !use.load.prompt_file.empty() && loaded && leases == 0; }
  void end(bool retires) const;
};

// The settings are those of the server, the same for all; what else a request says is a limit of
// its own.
std::string Slot::difference(const ModelUse& other) const {
  const protocol::Load& a = use.load;
  const protocol::Load& b = other.load;
  if (a.adapter_paths != b.adapter_paths) return "other adapters";
  // No more than there are cores, which is what a runner has that was not told.
  const bool all = loaded && a.threads == 0 && b.threads >= loaded->threads;
  if (b.threads == 0 || b.threads == a.threads || all) return {};
  return a.threads == 0 ? fmt::format("num_thread is {}", b.threads)
                        : fmt::format("num_thread is {} instead of {}", b.threads, a.threads);
}

// Ends its process, without the lock; what it was under the lock says how.
void Slot::end(bool retires) const {
  if (retires)
    runner->retire();
  else
    runner->kill();
}

// Of one that is in use as if it fell idle now. "Forever" is the latest time that 64-bit
// nanoseconds from now can say.
api::WallTime Slot::expires_at() const {
  const auto left = leases > 0 ? keep_alive
                    : expires == Clock::time_point::max()
                        ? api::kForever
                        : std::chrono::duration_cast<api::Nanoseconds>(expires - Clock::now());
  const auto now = std::chrono::system_clock::now();
  return left >= api::WallTime::max() - now ? api::WallTime::max() : now + left;
}

int64_t kv_bytes_taken(const protocol::Loaded& loaded, const protocol::Usage& usage) {
  if (usage.pages <= 0) return loaded.kv_bytes;
  const double part = static_cast<double>(usage.pages_touched) / static_cast<double>(usage.pages);
  return static_cast<int64_t>(static_cast<double>(loaded.kv_bytes) * std::min(part, 1.0));
}

struct Scheduler::Waiter {
  const ModelUse& use;
  std::string request;  // its id
  Clock::time_point since = Clock::now();
};

Lease::Lease(Scheduler& scheduler, std::shared_ptr<Slot> slot, bool takes_place)
    : scheduler_(&scheduler), slot_(std::move(slot)), takes_place_(takes_place) {}

Lease::~Lease() {
  if (slot_) scheduler_->release(slot_, takes_place_);
}

Runner& Lease::runner() const {
  return *slot_->runner;
}

Scheduler::Scheduler(SchedulerOptions options)
    : options_(std::move(options)), spawner_(options_.program), sweeper_([this] { sweep(); }) {}

Scheduler::~Scheduler() {
  shut_down();
  sweeper_.join();
}

std::shared_ptr<Slot> Scheduler::find(const ModelUse& use) const {
  for (const auto& slot : slots_)
    if (slot->loaded && slot->fits(use) && slot->runner->alive()) return slot;
  return nullptr;
}

bool Scheduler::head_waits_too_long() const {
  return !queue_.empty() && Clock::now() - queue_.front()->since > options_.patience;
}

// For a runner or, in what a runner has been lent, for a place.
size_t Scheduler::waiting() const {
  size_t out = queue_.size();
  for (const auto& slot : slots_) out += static_cast<size_t>(slot->waiting());
  return out;
}

bool Scheduler::refuses(const Slot& slot, const ModelUse& use) const {
  return use.takes_place && slot.takers >= slot.places() && waiting() >= options_.max_queue;
}

void Scheduler::notify() {
  ++changes_;
  changed_.notify_all();
}

void Scheduler::wait(Lock& lock, const std::stop_token& stop) {
  changed_.wait(lock, stop, [&, seen = changes_] { return changes_ != seen || ending_; });
  if (ending_) fail(ErrorKind::kBusy, "the server is shutting down");
  if (stop.stop_requested()) fail(ErrorKind::kCancelled, "request canceled");
}

// Takes a slot out and ends its process, without the lock: that may take a while.
void Scheduler::remove(Lock& lock, const std::shared_ptr<Slot>& slot) {
  if (std::erase(slots_, slot) == 0) return;
  const std::shared_ptr<Runner> runner = slot->runner;
  const bool retires = slot->retires();
  lock.unlock();
  log::info("unloading {}", slot->use.name);
  slot->end(retires);
  runner->wait_ended(kEndTimeout);  // its memory is free for the next one
  lock.lock();
  notify();
}

Lease Scheduler::acquire(const ModelUse& use, std::optional<api::Nanoseconds> keep_alive,
                         const std::stop_token& stop) {
  Lock lock(mutex_);
  if (ending_) fail(ErrorKind::kBusy, "the server is shutting down");
  std::shared_ptr<Slot> slot = head_waits_too_long() ? nullptr : find(use);
  if (slot ? refuses(*slot, use) : waiting() >= options_.max_queue)
    fail(ErrorKind::kBusy, "server busy, please try again.  maximum pending requests exceeded");
  if (!slot) {
    Waiter self{.use = use, .request = log::request_id()};
    note_phase(Phase::kQueued);
    queue_.push_back(&self);
    struct Leave {
      Scheduler& scheduler;
      Waiter* self;
      ~Leave() {  // the lock is held here
        std::erase(scheduler.queue_, self);
        scheduler.notify();
      }
    } leave{*this, &self};
    while (queue_.front() != &self) {
      if (!head_waits_too_long()) slot = find(use);
      if (slot) break;
      wait(lock, stop);
    }
    if (!slot) slot = find(use);
    while (!slot) {
      try {
        slot = load(lock, use, self, stop);
      } catch (const Error& e) {
        if (e.kind() != ErrorKind::kOutOfMemory || !unload_idle(lock)) throw;
      }
    }
  }
  ++slot->leases;
  if (use.takes_place) ++slot->takers;
  slot->expires = Clock::time_point::max();
  if (keep_alive) slot->keep_alive = *keep_alive;
  return {*this, std::move(slot), use.takes_place};
}

// What loaded runners may still take for their KV caches is not free, though the system says so.
int64_t Scheduler::promised_bytes() const {
  int64_t out = 0;
  for (const auto& slot : slots_)
    if (slot->loaded && slot->runner->alive())
      out += slot->loaded->kv_bytes - kv_bytes_taken(*slot->loaded, slot->runner->usage());
  return out;
}

std::shared_ptr<Slot> Scheduler::start(Lock& lock, const ModelUse& use) {
  if (ending_) fail(ErrorKind::kBusy, "the server is shutting down");
  const auto slot = std::make_shared<Slot>();
  slot->use = use;
  slot->use.load.promised_bytes = promised_bytes();
  slot->keep_alive = options_.keep_alive;
  slot->reason = std::exchange(reload_reason_, {});
  lock.unlock();
  if (slot->reason.empty())
    log::info("loading {} from {}", use.name, use.load.model_path);
  else
    log::info("reloading {}: {}", use.name, slot->reason);
  const auto on_end = [this, name = use.name](bool failed) {
    if (failed && options_.on_failure) options_.on_failure(name);
    const std::lock_guard guard(mutex_);
    --processes_;
    notify();
  };
  try {
    slot->runner =
        Runner::start(spawner_, slot->use.load, {.watchdog = options_.watchdog, .on_end = on_end});
  } catch (const Error&) {
    lock.lock();
    throw;
  }
  if (options_.on_start) options_.on_start(use.name);
  lock.lock();
  ++processes_;
  slots_.push_back(slot);
  return slot;
}

// Runs at the head of the queue only, so at most one model loads at a time.
std::shared_ptr<Slot> Scheduler::load(Lock& lock, const ModelUse& use, const Waiter& self,
                                      const std::stop_token& stop) {
  reload_reason_.clear();
  make_room(lock, use, stop);
  std::shared_ptr<Slot> slot;
  for (const auto& other : slots_)  // begun for a client that has gone, and others wait for it
    if (!other->loaded && other->fits(use) && other->runner->alive()) slot = other;
  if (!slot) slot = start(lock, use);
  note_phase(Phase::kLoading);
  const std::shared_ptr<Runner> runner = slot->runner;
  lock.unlock();
  try {
    const protocol::Loaded loaded = runner->wait_loaded(options_.load_timeout, stop);
    lock.lock();
    if (ending_) fail(ErrorKind::kBusy, "the server is shutting down");
    slot->loaded = loaded;
    return slot;
  } catch (const Error& e) {
    if (!lock.owns_lock()) lock.lock();
    const bool wanted =
        e.kind() == ErrorKind::kCancelled && std::ranges::any_of(queue_, [&](const Waiter* waiter) {
          return waiter != &self && slot->fits(waiter->use);
        });
    if (!wanted) remove(lock, slot);
    throw;
  }
}

// The one with the shortest keep-alive. False when all are in use.
bool Scheduler::unload_idle(Lock& lock) {
  std::shared_ptr<Slot> going;
  for (const auto& slot : slots_)
    if (slot->loaded && slot->leases == 0 && (!going || slot->keep_alive < going->keep_alive))
      going = slot;
  if (going) remove(lock, going);
  return going != nullptr;
}

// Until the model may be loaded: its own runner with other options is gone, and so is one of the
// others when there are too many.
void Scheduler::make_room(Lock& lock, const ModelUse& use, const std::stop_token& stop) {
  for (;;) {
    const auto dead =
        std::ranges::find_if(slots_, [](const auto& s) { return !s->runner->alive(); });
    if (dead != slots_.end()) {
      remove(lock, std::shared_ptr(*dead));
      continue;
    }
    auto victim = std::ranges::find_if(slots_, [&](const auto& s) { return s->is(use); });
    if (victim == slots_.end()) {
      if (slots_.size() < options_.max_loaded) return;
      // The shortest keep-alive goes first, among the idle ones if there are any.
      victim = std::ranges::min_element(slots_, {}, [](const auto& s) {
        return std::tuple(s->leases > 0, s->keep_alive, s->use.load.model_path);
      });
    } else if (!(*victim)->loaded && (*victim)->fits(use)) {
      return;  // it is loading, and we join
    }
    if ((*victim)->leases > 0) {
      wait(lock, stop);
      continue;
    }
    const std::shared_ptr<Slot> going = *victim;
    if (going->is(use)) reload_reason_ = going->difference(use);
    remove(lock, going);
  }
}

void Scheduler::release(const std::shared_ptr<Slot>& slot, bool takes_place) {
  Lock lock(mutex_);
  if (takes_place) --slot->takers;
  if (--slot->leases > 0) return;
  slot->expires = after(slot->keep_alive);
  notify();
  if (slot->keep_alive.count() <= 0) remove(lock, slot);
}

void Scheduler::unload(const std::string& model_path) {
  Lock lock(mutex_);
  const auto it = std::ranges::find_if(
      slots_, [&](const auto& slot) { return slot->use.load.model_path == model_path; });
  if (it == slots_.end()) return;
  std::shared_ptr<Slot> slot;
  slot = *it;  // its own: removing the slot takes the entry
  slot->keep_alive = api::Nanoseconds(0);
  if (slot->loaded && slot->leases == 0) remove(lock, slot);
}

void Scheduler::sweep() {
  Lock lock(mutex_);
  while (!ending_) {
    auto next = Clock::time_point::max();
    std::shared_ptr<Slot> over;
    for (const auto& slot : slots_) {
      if (!slot->loaded) {  // loading: for somebody in the queue, or for nobody any more
        if (std::ranges::none_of(queue_, [&](const Waiter* w) { return slot->fits(w->use); }))
          over = slot;
        continue;
      }
      if (!slot->runner->alive() || (slot->leases == 0 && slot->expires <= Clock::now()))
        over = slot;
      if (slot->leases == 0) next = std::min(next, slot->expires);
    }
    if (over)
      remove(lock, over);
    else if (next == Clock::time_point::max())
      changed_.wait(lock);
    else
      changed_.wait_until(lock, next);
  }
}

std::vector<LoadedModel> Scheduler::loaded() const {
  const std::lock_guard lock(mutex_);
  std::vector<LoadedModel> out;
  for (const auto& slot : slots_) {
    if (!slot->loaded || !slot->runner->alive()) continue;
    out.push_back({.name = slot->use.name,
                   .digest = slot->use.digest,
                   .details = slot->use.details,
                   .size = slot->loaded->weight_bytes + slot->loaded->scratch_bytes +
                           kv_bytes_taken(*slot->loaded, slot->runner->usage()),
                   .context_length = slot->context(),
                   .expires_at = slot->expires_at()});
  }
  std::ranges::sort(out, std::greater(), &LoadedModel::expires_at);
  return out;
}

SchedulerStatus Scheduler::status() const {
  const std::lock_guard lock(mutex_);
  SchedulerStatus out;
  std::map<std::string, int64_t> positions;  // of models: the last one given
  const auto enqueue = [&](const std::string& request, const std::string& name) {
    out.queue.push_back({.request = request, .model = name, .position = ++positions[name]});
  };
  for (const auto& slot : slots_) {
    if (!slot->runner->alive()) continue;
    for (const std::string& request : slot->runner->waiting()) enqueue(request, slot->use.name);
    out.runners.push_back(
        {.name = slot->use.name,
         .digest = slot->use.digest,
         .pid = slot->runner->pid(),
         .loaded = slot->loaded,
         .progress = slot->runner->progress(),
         .seconds = std::chrono::duration<double>(Clock::now() - slot->started).count(),
         .usage = slot->runner->usage(),
         .leases = slot->leases,
         .expires_at = slot->expires_at(),
         .reason = slot->reason});
  }
  for (const Waiter* const waiter : queue_) {
    const bool loading = std::ranges::any_of(
        slots_, [&](const auto& slot) { return !slot->loaded && slot->fits(waiter->use); });
    if (!loading) enqueue(waiter->request, waiter->use.name);
  }
  return out;
}

void Scheduler::shut_down() {
  std::vector<std::pair<std::shared_ptr<Slot>, bool>> slots;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    for (auto& slot : slots_) slots.emplace_back(slot, slot->retires());
    slots_.clear();
    notify();
  }
  for (const auto& [slot, retires] : slots) slot->end(retires);
  Lock lock(mutex_);
  changed_.wait_for(lock, kEndTimeout, [&] { return processes_ == 0; });
}

}  // namespace cria::server
