// workers.h - threads that come when there is work and go when there is none.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>

namespace cria::http {

// Handlers block for as long as a model speaks, so each running one has a thread; idle threads stay
// for a while, to be used again.
class Workers {
 public:
  explicit Workers(size_t max_threads) : max_threads_(max_threads) {}
  ~Workers() { finish(); }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  void finish();  // no more tasks; returns when all threads have ended
  // False when all threads are busy and there may be no more.
  bool run(std::function<void()> task);

 private:
  void work();

  const size_t max_threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  size_t threads_ = 0, idle_ = 0;
  bool ending_ = false;
};

}  // namespace cria::http
