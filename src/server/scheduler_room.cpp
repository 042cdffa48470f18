// scheduler_room.cpp - what has to go before a model can be loaded, and when nothing goes because
// that would not help.
#include "base/resources.h"
#include "server/scheduler.h"
#include "server/slot.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <tuple>

namespace cria::server {

// Idle models go for it where that makes enough room. A runner that did not find the memory says
// what it needed: it alone knows what is in the file.
std::shared_ptr<Slot> Scheduler::load_with_room(Lock& lock, const ModelUse& use, const Waiter& self,
                                                const std::stop_token& stop) {
  for (;;) {
    try {
      return load(lock, use, self, stop);
    } catch (const Error& e) {
      if (!e.shortage()) throw;
      needs_[use.load.model_path] = e.shortage()->needed;
      if (free_memory(lock, e.shortage()->needed - e.shortage()->available)) continue;
      const Error why = refusal(e);
      lock.unlock();
      if (options_.on_failure) options_.on_failure(use.name);
      lock.lock();
      throw Error(why);
    }
  }
}

// Those with the shortest keep-alive, and of these only what it takes; none when all of them are
// too little.
std::vector<std::shared_ptr<Slot>> Scheduler::idle_that_hold(int64_t bytes) const {
  std::vector<std::shared_ptr<Slot>> idle;
  for (const auto& slot : slots_)
    if (slot->loaded && slot->leases == 0) idle.push_back(slot);
  std::ranges::sort(idle, {}, [](const auto& slot) {
    return std::tie(slot->keep_alive, slot->use.load.model_path);
  });
  int64_t held = 0;
  for (const auto& slot : idle) held += slot->held_bytes();
  if (held < bytes) return {};
  for (auto it = idle.end(); it != idle.begin();) {  // spares those that would stay longest
    --it;
    if (held - (*it)->held_bytes() < bytes) continue;
    held -= (*it)->held_bytes();
    it = idle.erase(it);
  }
  return idle;
}

// False when the idle models do not hold that much, and then none is unloaded.
bool Scheduler::free_memory(Lock& lock, int64_t missing) {
  if (missing <= 0 || idle_that_hold(missing).empty()) return false;
  while (missing > 0) {  // while one ends, others may come into use
    const auto going = idle_that_hold(missing);
    if (going.empty()) break;
    missing -= going.front()->held_bytes();
    remove(lock, going.front());
  }
  return true;
}

Error Scheduler::refusal(const Error& why) const {
  int64_t idle = 0, busy = 0;
  for (const auto& slot : slots_) (slot->leases > 0 ? busy : idle) += slot->held_bytes();
  std::string text = why.what();
  if (idle > 0)
    text += fmt::format("; the {} of idle models would be too little", human_bytes(idle));
  const int64_t missing = why.shortage()->needed - why.shortage()->available;
  if (busy > 0)
    text += fmt::format("; models in use hold {}{}", human_bytes(busy),
                        idle + busy >= missing ? ": try again when they are idle" : "");
  return {why.kind(), text, why.shortage()};
}

// Before a model goes only because there are too many: not for one that would not fit all the same.
// A model takes no less memory than its file, or than it was refused for.
void Scheduler::check_fits(Lock& lock, const ModelUse& use) const {
  const std::string path = use.load.model_path;
  const auto known = needs_.find(path);
  int64_t needed = known == needs_.end() ? 0 : known->second, held = 0;
  for (const auto& slot : slots_) held += slot->held_bytes();
  const int64_t promised = promised_bytes();
  lock.unlock();
  std::error_code code;
  const auto size = std::filesystem::file_size(path, code);
  if (!code) needed = std::max(needed, static_cast<int64_t>(size));
  const int64_t available = std::max<int64_t>(available_memory() - promised, 0);
  lock.lock();
  if (needed - held <= available) return;
  throw Error(ErrorKind::kOutOfMemory,
              fmt::format("model requires more system memory ({} or more) than is available ({}); "
                          "try a smaller model",
                          human_bytes(needed), human_bytes(available)),
              Shortage{.needed = needed, .available = available});
}

// Until the model may be loaded: its own runner with other options is gone, and so is one of the
// others when there are too many.
void Scheduler::make_room(Lock& lock, const ModelUse& use, const std::stop_token& stop) {
  for (;;) {
    const auto dead =
        std::ranges::find_if(slots_, [](const auto& s) { return !s->runner->alive(); });
    if (dead != slots_.end()) {
      remove(lock, std::shared_ptr(*dead));
      continue;
    }
    auto victim = std::ranges::find_if(slots_, [&](const auto& s) { return s->is(use); });
    if (victim == slots_.end()) {
      if (slots_.size() < options_.max_loaded) return;
      // The shortest keep-alive goes first, among the idle ones if there are any.
      victim = std::ranges::min_element(slots_, {}, [](const auto& s) {
        return std::tuple(s->leases > 0, s->keep_alive, s->use.load.model_path);
      });
    } else if (!(*victim)->loaded && (*victim)->fits(use)) {
      return;  // it is loading, and we join
    }
    if ((*victim)->leases > 0) {
      wait(lock, stop);
      continue;
    }
    const std::shared_ptr<Slot> going = *victim;
    if (going->is(use)) reload_reason_ = going->difference(use);
    remove(lock, going);
  }
}

}  // namespace cria::server
