#include "ml/cpu/pool.h"

#include <algorithm>
#include <chrono>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace cria::ml::cpu {
namespace {

constexpr int kSpins = 2000;  // 20 to 50 microseconds
// How long the caller stays alone after a run that it mostly slept through.
constexpr int64_t kAloneFirst = 50'000'000, kAloneLongest = 1'600'000'000;

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

Pool::Pool(int threads)
    : threads_(threads), active_(threads), shares_(static_cast<size_t>(threads)) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
}

Pool::~Pool() {
  ending_ = true;
  generation_.fetch_add(1);
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

// Returns the nanoseconds slept.
int64_t Pool::wait(const std::atomic<uint32_t>& value, uint32_t old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return 0;
    relax();
  }
  const int64_t start = now_ns();
  sleeping_.fetch_add(1);
  while (value.load() == old) value.wait(old);
  sleeping_.fetch_sub(1);
  return now_ns() - start;
}

void Pool::run(const std::function<void(int)>& body, Kind kind) {
  const int64_t started = now_ns();
  active_ = started < alone_until_ns_ ? 1 : threads_;
  asleep_ns_ = 0;
  for (Share& share : shares_)
    for (auto& next : share.next) next.store(0, std::memory_order_relaxed);
  if (active_ == 1) return body(0);
  body_ = &body;
  generation_.fetch_add(1);
  if (sleeping_.load() > 0) generation_.notify_all();
  body(0);
  barrier(0);
  if (kind == Kind::kComputes) judge(started);
}

void Pool::judge(int64_t started) {
  const int64_t now = now_ns();
  if (2 * asleep_ns_ < now - started) {
    alone_for_ns_ = 0;
    return;
  }
  alone_for_ns_ = std::clamp(2 * alone_for_ns_, kAloneFirst, kAloneLongest);
  alone_until_ns_ = now + alone_for_ns_;
}

void Pool::work(int thread) {
  for (uint32_t seen = 0;;) {
    wait(generation_, seen);
    ++seen;
    if (ending_) return;
    (*body_)(thread);
    barrier(thread);
  }
}

void Pool::barrier(int thread) {
  if (active_ == 1) return;
  const uint32_t turn = passed_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<uint32_t>(threads_)) {
    arrived_.store(0, std::memory_order_relaxed);
    passed_.fetch_add(1);
    if (sleeping_.load() > 0) passed_.notify_all();
  } else {
    const int64_t slept = wait(passed_, turn);
    if (thread == 0) asleep_ns_ += slept;
  }
}

}  // namespace cria::ml::cpu
