#include "ml/cpu/pool.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace cria::ml::cpu {
namespace {

constexpr int kSpins = 2000;  // 20 to 50 microseconds

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

Pool::Pool(int threads) : threads_(threads), shares_(static_cast<size_t>(threads)) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
}

Pool::~Pool() {
  ending_ = true;
  generation_.fetch_add(1);
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void Pool::wait(const std::atomic<uint32_t>& value, uint32_t old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    relax();
  }
  sleeping_.fetch_add(1);
  while (value.load() == old) value.wait(old);
  sleeping_.fetch_sub(1);
}

void Pool::run(const std::function<void(int)>& body) {
  body_ = &body;
  for (Share& share : shares_)
    for (auto& next : share.next) next.store(0, std::memory_order_relaxed);
  generation_.fetch_add(1);
  if (sleeping_.load() > 0) generation_.notify_all();
  body(0);
  barrier();
}

void Pool::work(int thread) {
  for (uint32_t seen = 0;;) {
    wait(generation_, seen);
    ++seen;
    if (ending_) return;
    (*body_)(thread);
    barrier();
  }
}

void Pool::barrier() {
  if (threads_ == 1) return;
  const uint32_t turn = passed_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<uint32_t>(threads_)) {
    arrived_.store(0, std::memory_order_relaxed);
    passed_.fetch_add(1);
    if (sleeping_.load() > 0) passed_.notify_all();
  } else {
    wait(passed_, turn);
  }
}

}  // namespace cria::ml::cpu
