// pool.h - the engine's threads: the same function on every thread, barriers and shared work
// inside.
//
// A waiting thread spins briefly, then sleeps on a futex; whoever ends the wait wakes it only if it
// sleeps. So a step costs well under a microsecond per barrier on an idle machine. When the caller
// spends most of a run asleep, because the system gives the workers' cores to somebody else, the
// next runs are done by the caller alone, for a time that doubles as long as trying again shows no
// better.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace cria::ml::cpu {

class Pool {
 public:
  explicit Pool(int threads);  // the caller is one of them
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return threads_; }
  // Threads of the run that is going on: all, or the caller alone.
  int active() const { return active_; }
  // Runs body(thread) on every active thread, 0 being the caller; returns when all are done. A body
  // that waits for a disk tells nothing of what the system gives the workers.
  enum class Kind : uint8_t { kComputes, kReads };
  void run(const std::function<void(int)>& body, Kind kind = Kind::kComputes);
  // Inside run: no thread goes on before all have come here; `thread` is the one that comes.
  void barrier(int thread);

  // Inside run: calls body(first, last) for parts of [0, units) until all are taken. Each thread
  // begins with its own contiguous share and then helps the others, so that a thread which the
  // system does not schedule delays one grain. `phase` numbers the calls of one run, equal on all
  // threads.
  template <class Body>
  void share(int thread, int64_t phase, int64_t units, int64_t grain, const Body& body) {
    prepare(thread, phase + 1);
    for (int i = 0; i < active_; ++i) {
      const int owner = (thread + i) % active_;
      const int64_t first = units * owner / active_, last = units * (owner + 1) / active_;
      std::atomic<int64_t>& next = shares_[static_cast<size_t>(owner)].next[phase % 4];
      for (;;) {
        const int64_t begin = first + next.fetch_add(grain, std::memory_order_relaxed);
        if (begin >= last) break;
        body(begin, begin + grain < last ? begin + grain : last);
      }
    }
  }

 private:
  // Four counters in rotation. A thread resets its own counter of the next phase while it works on
  // this one; everybody else is at most one barrier away, in this phase or the one before.
  struct alignas(64) Share {
    std::atomic<int64_t> next[4] = {};
  };
  void prepare(int thread, int64_t phase) {
    shares_[static_cast<size_t>(thread)].next[phase % 4].store(0, std::memory_order_relaxed);
  }
  void work(int thread);
  int64_t wait(const std::atomic<uint32_t>& value, uint32_t old);
  void judge(int64_t started);

  int threads_;
  int active_;
  int64_t asleep_ns_ = 0;       // of the caller, in this run
  int64_t alone_until_ns_ = 0;  // 0: not alone
  int64_t alone_for_ns_ = 0;
  std::vector<Share> shares_;
  const std::function<void(int)>* body_ = nullptr;
  alignas(64) std::atomic<uint32_t> generation_ = 0;  // of run
  alignas(64) std::atomic<uint32_t> arrived_ = 0;
  alignas(64) std::atomic<uint32_t> passed_ = 0;  // barriers so far
  alignas(64) std::atomic<uint32_t> sleeping_ = 0;
  std::atomic<bool> ending_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace cria::ml::cpu
