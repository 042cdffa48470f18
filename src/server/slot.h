// slot.h - a runner as the scheduler keeps it: what it was started for, who uses it, when it ends.
// All of it is read and changed under the scheduler's lock.
#pragma once

#include "server/scheduler.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace cria::server {

// The requests that take something of a runner.
struct Takers {
  int64_t owners = 0, sharers = 0;  // of places, and of the one that texts share
  bool texts_have_place = false;

  void count(Takes takes, int by, int64_t places);
  // How many have no place yet, where `together` texts are computed at a time.
  int64_t waiting(int64_t places, int64_t together) const;
};

struct Slot {
  using Clock = std::chrono::steady_clock;
  ModelUse use;
  std::shared_ptr<Runner> runner;
  std::optional<protocol::Loaded> loaded;  // absent while it loads
  int leases = 0;
  Takers takers;
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
  void count(Takes takes, int by) { takers.count(takes, by, places()); }
  // How many requests have no place yet, with `more` as well.
  int64_t waiting(Takes more = Takes::kNothing) const;
  // That its end gives back, or no longer keeps from others.
  int64_t held_bytes() const {
    return loaded ? loaded->weight_bytes + loaded->scratch_bytes + loaded->kv_bytes : 0;
  }
  // Whether it is idle and may write its prompts before it ends.
  bool retires() const { return !use.load.prompt_file.empty() && loaded && leases == 0; }
  void end(bool retires) const;
};

}  // namespace cria::server
