#include "engine/heartbeat.h"

#include "base/error.h"
#include "base/log.h"

#include <pthread.h>

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

// Since the last sign; with the lock.
bool Heartbeat::goes_on(Worker worker) {
  Work& work = work_[worker];
  timespec time = {};
  ::clock_gettime(*work.clock, &time);
  const ml::PlanProgress plan = worker == kSteps ? plan_.progress() : ml::PlanProgress{};
  const Pulse now = {.stages = plan.stages,
                     .rounds = work.rounds,
                     .cpu_ns = int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec};
  const bool computes = !plan.running && now.rounds == work.last.rounds &&
                        now.cpu_ns >= work.last.cpu_ns + kLeastWork;
  const bool sign = computes || now.stages != work.last.stages;
  if (sign || now.rounds != work.last.rounds) work.last = now;
  return sign;
}

void Heartbeat::beat(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const auto somebody_works = [&] { return work_[kSteps].clock || work_[kTexts].clock; };
  while (changed_.wait(lock, stop, somebody_works)) {
    protocol::Alive alive;
    if (work_[kSteps].clock) alive.steps = goes_on(kSteps);
    if (work_[kTexts].clock) alive.texts = goes_on(kTexts);
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
