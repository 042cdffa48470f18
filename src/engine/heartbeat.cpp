#include "engine/heartbeat.h"

#include "base/error.h"
#include "base/log.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

namespace cria::engine {
namespace {

constexpr int64_t kLeastWork = 1'000'000;  // ns: more than a thread takes to look and wait again

}  // namespace

Heartbeat::Heartbeat(const ml::Plan& plan, const Emit& emit)
    : plan_(plan), emit_(emit), thread_([this](const std::stop_token& stop) { beat(stop); }) {}

void Heartbeat::begin(Worker worker) {
  const std::lock_guard lock(mutex_);
  Work& work = work_[worker];
  ++work.rounds;
  if (work.clock) return;
  clockid_t clock = 0;
  ::pthread_getcpuclockid(::pthread_self(), &clock);  // does not fail for the calling thread
  work.clock = clock;
  changed_.notify_all();
}

void Heartbeat::end(Worker worker) {
  const std::lock_guard lock(mutex_);
  work_[worker].clock.reset();
}

// Since the last one; with the lock.
Heartbeat::Sign Heartbeat::sign_of(Worker worker) {
  Work& work = work_[worker];
  timespec time = {};
  ::clock_gettime(*work.clock, &time);
  const ml::PlanProgress plan = worker == kSteps ? plan_.progress() : ml::PlanProgress{};
  const Pulse now = {.stages = plan.stages,
                     .rounds = work.rounds,
                     .cpu_ns = int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec};
  const bool computes = !plan.running && now.rounds == work.last.rounds &&
                        now.cpu_ns >= work.last.cpu_ns + kLeastWork;
  const bool goes_on = computes || now.stages != work.last.stages;
  const bool began = now.rounds != work.last.rounds;
  if (goes_on || began) work.last = now;
  return goes_on ? Sign::kGoesOn : began ? Sign::kBegan : Sign::kNone;
}

// With the lock. Some of them do, and the others have nothing to do or have just begun.
bool Heartbeat::go_on(std::initializer_list<Worker> workers) {
  bool one_goes_on = false, one_is_silent = false;
  for (const Worker worker : workers) {
    if (!work_[worker].clock) continue;
    const Sign sign = sign_of(worker);
    one_goes_on = one_goes_on || sign == Sign::kGoesOn;
    one_is_silent = one_is_silent || sign == Sign::kNone;
  }
  return one_goes_on && !one_is_silent;
}

void Heartbeat::beat(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const auto somebody_works = [&] {
    return std::ranges::any_of(work_, [](const Work& work) { return work.clock.has_value(); });
  };
  // The wait ends as well when it is stopped while somebody works.
  while (changed_.wait(lock, stop, somebody_works) && !stop.stop_requested()) {
    const protocol::Alive alive = {.steps = go_on({kSteps, kPrompts, kLongPrompts}),
                                   .texts = go_on({kTexts})};
    if (alive.steps || alive.texts) {
      lock.unlock();
      send(alive);
      lock.lock();
    }
    changed_.wait_for(lock, stop, kInterval, [] { return false; });
  }
}

void Heartbeat::send(const protocol::Alive& alive) const noexcept {
  try {
    emit_(alive);
  } catch (const Error& e) {
    log::debug("runner: {}", e.what());  // the server has gone, which the reader sees as well
  }
}

}  // namespace cria::engine
