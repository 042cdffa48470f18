#include "http/workers.h"

#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

namespace cria::http {

constexpr std::chrono::seconds kIdleTime{10};

void Workers::finish() {
  std::unique_lock lock(mutex_);
  ending_ = true;
  changed_.notify_all();
  changed_.wait(lock, [&] { return threads_ == 0; });
}

bool Workers::run(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (ending_) return false;
  if (tasks_.size() >= idle_) {
    if (threads_ >= max_threads_) return false;
    try {
      std::thread([this] { work(); }).detach();
    } catch (const std::system_error&) {
      return false;  // the system has no thread left for us
    }
    ++threads_;
    ++idle_;
  }
  tasks_.push_back(std::move(task));
  changed_.notify_one();
  return true;
}

void Workers::work() {
  std::unique_lock lock(mutex_);
  while (changed_.wait_for(lock, kIdleTime, [&] { return ending_ || !tasks_.empty(); }) &&
         !tasks_.empty()) {
    const std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    --idle_;
    lock.unlock();
    task();
    lock.lock();
    ++idle_;
  }
  --idle_;
  --threads_;
  // Under the lock: once it is released with threads_ at 0, `this` may be gone.
  changed_.notify_all();
}

}  // namespace cria::http
