#include "server/scheduler.h"

#include "base/log.h"
#include "base/log_context.h"
#include "server/requests.h"
#include "server/slot.h"

#include <algorithm>
#include <map>
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

Lease::Lease(Scheduler& scheduler, std::shared_ptr<Slot> slot, Takes takes)
    : scheduler_(&scheduler), slot_(std::move(slot)), takes_(takes) {}

Lease::~Lease() {
  if (slot_) scheduler_->release(slot_, takes_);
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
  return slot.waiting(use.takes) > slot.waiting() && waiting() >= options_.max_queue;
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
    if (!slot) slot = load_with_room(lock, use, self, stop);
  }
  ++slot->leases;
  slot->count(use.takes, 1);
  slot->expires = Clock::time_point::max();
  if (keep_alive) slot->keep_alive = *keep_alive;
  return {*this, std::move(slot), use.takes};
}

// What loaded runners may still take for KV caches and weights is not free, though the system says
// so.
int64_t Scheduler::promised_bytes() const {
  int64_t out = 0;
  for (const auto& slot : slots_)
    if (slot->loaded && slot->runner->alive()) {
      const protocol::Usage usage = slot->runner->usage();
      out +=
          slot->loaded->kv_bytes - kv_bytes_taken(*slot->loaded, usage) + usage.weight_bytes_unread;
    }
  return out;
}

std::shared_ptr<Slot> Scheduler::start(Lock& lock, const ModelUse& use) {
  if (ending_) fail(ErrorKind::kBusy, "the server is shutting down");
  const auto slot = std::make_shared<Slot>();
  slot->use = use;
  slot->use.load.promised_bytes = promised_bytes();
  slot->keep_alive = options_.keep_alive;
  slot->reason = std::exchange(reload_reason_, {});
  ++processes_;  // now, so that shut_down waits for it
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
  } catch (...) {
    lock.lock();
    --processes_;
    notify();
    throw;
  }
  if (options_.on_start) options_.on_start(use.name);
  lock.lock();
  if (ending_) {  // shut_down has not seen this one
    lock.unlock();
    slot->end(false);
    lock.lock();
    fail(ErrorKind::kBusy, "the server is shutting down");
  }
  slots_.push_back(slot);
  return slot;
}

// Runs at the head of the queue only, so at most one model loads at a time.
std::shared_ptr<Slot> Scheduler::load(Lock& lock, const ModelUse& use, const Waiter& self,
                                      const std::stop_token& stop) {
  reload_reason_.clear();
  const bool replaces = std::ranges::any_of(slots_, [&](const auto& s) { return s->is(use); });
  if (!replaces && slots_.size() >= options_.max_loaded) check_fits(lock, use);
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

void Scheduler::release(const std::shared_ptr<Slot>& slot, Takes takes) {
  Lock lock(mutex_);
  slot->count(takes, -1);
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
