#include "engine/prepare_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace cria::engine {
namespace {

// What is short takes some milliseconds: a text of it, or a format of a quarter.
constexpr size_t kShortBytes = size_t{1} << 16, kFormatWeight = 4;
// Answers of one thread that wait for a place. More would take memory and gain nothing.
constexpr int64_t kMostReadyAnswers = 16;

size_t bytes_of(const Json& json) {
  if (json.is_string()) return json.get_ref<const std::string&>().size();
  if (!json.is_structured()) return 1;
  size_t out = 1;
  for (auto it = json.begin(); it != json.end(); ++it)
    out += bytes_of(*it) + (json.is_object() ? it.key().size() : 0);
  return out;
}

size_t bytes_of(const protocol::Generate& request) {
  return request.prompt.size() + request.suffix.size() + request.system.size() +
         request.template_text.size() + request.context.size() + bytes_of(request.messages) +
         bytes_of(request.tools) + kFormatWeight * bytes_of(request.format) +
         request.model.system.size() + request.model.template_text.size() +
         bytes_of(request.model.messages);
}

size_t bytes_of(const protocol::Embed& request) {
  size_t out = 0;
  for (const std::string& input : request.inputs)
    out += input.size() + (request.query ? request.query->size() : 0);
  return out;
}

}  // namespace

PrepareQueue::PrepareQueue(Prepare prepare, Watchers watchers)
    : prepare_(std::move(prepare)),
      watchers_(std::move(watchers)),
      short_([this](const std::stop_token& stop) { work(stop, kShort); }),
      long_([this](const std::stop_token& stop) { work(stop, kLong); }) {}

PrepareQueue::Lane PrepareQueue::lane_of(const Unprepared& request) {
  const size_t bytes = std::visit([](const auto& one) { return bytes_of(one); }, request);
  return bytes <= kShortBytes ? kShort : kLong;
}

void PrepareQueue::submit(Unprepared request) {
  const Lane lane = lane_of(request);
  const uint64_t id = std::visit([](const auto& one) { return one.id; }, request);
  {
    const std::lock_guard lock(mutex_);
    Item& item = items_.emplace_back();
    item.id = id;
    item.lane = lane;
    item.request = std::move(request);
  }
  changed_.notify_all();
}

PrepareQueue::Item* PrepareQueue::next(Lane lane) {
  const bool is_full = full(lane);
  const auto found = std::ranges::find_if(items_, [&](const Item& item) {
    return item.lane == lane && item.state == State::kWaits && !item.cancelled &&
           !(is_full && item.may_answer());
  });
  return found == items_.end() ? nullptr : &*found;
}

void PrepareQueue::work(const std::stop_token& stop, Lane lane) {
  const auto worker = lane == kShort ? Heartbeat::kPrompts : Heartbeat::kLongPrompts;
  std::unique_lock lock(mutex_);
  Item* item = nullptr;
  while (changed_.wait(lock, stop, [&] { return (item = next(lane)) != nullptr; }) &&
         !stop.stop_requested()) {
    item->state = State::kIsPrepared;
    Unprepared request = std::move(item->request);
    lock.unlock();
    if (watchers_.heart != nullptr) watchers_.heart->begin(worker);
    Prepared result = prepare_(std::move(request), [&] {
      return item->cancelled.load(std::memory_order_relaxed) || stop.stop_requested();
    });
    if (watchers_.heart != nullptr) watchers_.heart->end(worker);
    lock.lock();
    item->result = std::move(result);
    item->state = State::kReady;
    const bool dropped = item->cancelled;
    if (dropped) items_.remove_if([&](const Item& one) { return &one == item; });
    changed_.notify_all();  // those that wait for it, by any of the functions
    if (dropped || !watchers_.on_ready) continue;
    lock.unlock();
    watchers_.on_ready();
    lock.lock();
  }
}

bool PrepareQueue::cancel(uint64_t id) {
  std::unique_lock lock(mutex_);
  const auto found = std::ranges::find_if(
      items_, [&](const Item& item) { return item.id == id && !item.cancelled; });
  if (found == items_.end()) return false;
  if (found->state == State::kIsPrepared)
    found->cancelled = true;  // its thread removes it
  else
    items_.erase(found);
  lock.unlock();
  changed_.notify_all();
  return true;
}

bool PrepareQueue::empty() const {
  const std::lock_guard lock(mutex_);
  return std::ranges::all_of(items_, [](const Item& item) { return item.cancelled.load(); });
}

bool PrepareQueue::any_ready() const {
  return std::ranges::any_of(items_, [](const Item& item) { return item.state == State::kReady; });
}

bool PrepareQueue::all_ready() const {
  const bool is_full[] = {full(kShort), full(kLong)};
  return std::ranges::all_of(items_, [&](const Item& item) {
    return item.state == State::kReady || item.cancelled ||
           (item.state == State::kWaits && is_full[item.lane] && item.may_answer());
  });
}

bool PrepareQueue::full(Lane lane) const {
  return std::ranges::count_if(items_, [&](const Item& item) {
           return item.lane == lane && item.is_answer();
         }) >= kMostReadyAnswers;
}

bool PrepareQueue::has_ready() const {
  const std::lock_guard lock(mutex_);
  return any_ready();
}

bool PrepareQueue::has_answer() const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(items_, &Item::is_answer);
}

std::optional<PreparedAnswer> PrepareQueue::take_answer() {
  std::optional<PreparedAnswer> out;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find_if(items_, &Item::is_answer);
    if (found == items_.end()) return out;
    out = std::move(std::get<PreparedAnswer>(found->result));
    items_.erase(found);
  }
  changed_.notify_all();
  return out;
}

std::vector<Prepared> PrepareQueue::take_others() {
  std::vector<Prepared> out;
  const std::lock_guard lock(mutex_);
  for (auto it = items_.begin(); it != items_.end();) {
    if (it->state != State::kReady || it->is_answer()) {
      ++it;
      continue;
    }
    out.push_back(std::move(it->result));
    it = items_.erase(it);
  }
  return out;
}

void PrepareQueue::wait_for_one() const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return any_ready() || all_ready(); });
}

void PrepareQueue::wait_for_all() const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return all_ready(); });
}

}  // namespace cria::engine
