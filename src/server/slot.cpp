#include "server/slot.h"

#include <fmt/core.h>

namespace cria::server {

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

// The runner hands places to answers and texts in turn; here texts get theirs as soon as one is
// free, which differs while both wait.
void Takers::count(Takes takes, int by, int64_t places) {
  if (takes == Takes::kPlace) owners += by;
  if (takes == Takes::kShare) sharers += by;
  texts_have_place = sharers > 0 && (texts_have_place || owners < places);
}

int64_t Takers::waiting(int64_t places, int64_t together) const {
  if (!texts_have_place) return std::max<int64_t>(0, owners - places) + sharers;
  return std::max<int64_t>(0, owners + 1 - places) + std::max<int64_t>(0, sharers - together);
}

int64_t Slot::waiting(Takes more) const {
  Takers all = takers;
  all.count(more, 1, places());
  return all.waiting(places(), std::max<int64_t>(1, loaded ? loaded->texts_together : 1));
}

}  // namespace cria::server
