#include "server/runner.h"

#include "api/duration.h"
#include "base/log.h"
#include "base/log_context.h"

#include <algorithm>
#include <thread>
#include <type_traits>
#include <utility>

namespace cria::server {
namespace {

using Clock = std::chrono::steady_clock;
// Text that a client too slow to take it may leave here before its request is ended.
constexpr size_t kMaxWaitingBytes = size_t{64} << 20;
constexpr std::chrono::milliseconds kShortestLook{50}, kLongestLook{1000};  // of the watchdog

size_t weight_of(const protocol::Event& event) {
  const auto* const text = std::get_if<protocol::Text>(&event);
  return text == nullptr
             ? 0
             : 64 + text->content.size() + text->thinking.size() + 512 * text->logprobs.size();
}

}  // namespace

void EventQueue::put(protocol::Event event) {
  const std::lock_guard lock(mutex_);
  bytes_ += weight_of(event);
  if (bytes_ > kMaxWaitingBytes && !error_)
    error_ = Error(ErrorKind::kTooLarge, "the client takes the answer too slowly");
  if (!error_) events_.push_back(std::move(event));
  changed_.notify_all();
}

// Copies of an exception share its text and count its users inside the standard library, where
// ThreadSanitizer does not see it. So each thread gets a text of its own.
void EventQueue::end(const Error& why) {
  const std::lock_guard lock(mutex_);
  if (!error_) error_.emplace(why.kind(), why.what());
  changed_.notify_all();
}

protocol::Event EventQueue::next(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, stop, [&] { return !events_.empty() || error_; });
  if (stop.stop_requested()) fail(ErrorKind::kCancelled, "request canceled");
  if (events_.empty()) throw Error(error_->kind(), error_->what());
  protocol::Event event = std::move(events_.front());
  events_.pop_front();
  bytes_ -= weight_of(event);
  return event;
}

Generation::Generation(std::shared_ptr<Runner> runner, uint64_t id,
                       std::shared_ptr<EventQueue> queue)
    : runner_(std::move(runner)), id_(id), queue_(std::move(queue)) {}

Generation::~Generation() {
  runner_->cancel(id_);
}

std::shared_ptr<Runner> Runner::start(protocol::Spawner& spawner, const protocol::Load& load,
                                      Care care) {
  std::shared_ptr<Runner> runner(new Runner(spawner.start("runner"), std::move(care)));
  try {
    runner->child_->channel().send(to_json(protocol::Request(load)));
  } catch (const Error& e) {
    log::warn("runner {}: {}", runner->pid(), e.what());  // the reader will see its end
  }
  std::thread([runner] { runner->read(); }).detach();
  if (runner->care_.watchdog.count() > 0) std::thread([runner] { runner->watch(); }).detach();
  return runner;
}

Runner::Runner(std::unique_ptr<protocol::Child> child, Care care)
    : child_(std::move(child)), care_(std::move(care)), last_sign_(Clock::now()) {}

void Runner::kill() {
  {
    const std::lock_guard lock(mutex_);
    killed_ = true;
  }
  child_->kill();
}

void Runner::retire() {
  {
    const std::lock_guard lock(mutex_);
    killed_ = retired_ = true;
  }
  child_->channel().shut_down();
}

bool Runner::alive() const {
  const std::lock_guard lock(mutex_);
  return !ended_ && !killed_ && !failure_;
}

double Runner::progress() const {
  const std::lock_guard lock(mutex_);
  return progress_;
}

int64_t Runner::parallel() const {
  const std::lock_guard lock(mutex_);
  return loaded_ ? std::max<int64_t>(loaded_->parallel, 1) : 1;
}

protocol::Usage Runner::usage() const {
  const std::lock_guard lock(mutex_);
  return usage_;
}

std::vector<std::string> Runner::waiting() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [id, work] : running_)
    if (!work.begun && work.queue) out.push_back(work.request);
  return out;
}

void Runner::wait_ended(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, timeout, [&] { return ended_; });
}

protocol::Loaded Runner::wait_loaded(std::chrono::nanoseconds stall, const std::stop_token& stop) {
  // Nobody waits longer than a year, and the clock could not say it.
  const auto patience =
      stall.count() <= 0 ? std::chrono::hours(24 * 365)
                         : std::min<std::chrono::nanoseconds>(stall, std::chrono::hours(24 * 365));
  std::unique_lock lock(mutex_);
  while (!loaded_ && !failure_ && !ended_) {
    const auto limit = last_sign_ + patience;
    if (Clock::now() >= limit)
      fail(ErrorKind::kInternal,
           "timed out waiting for the model runner to start - no progress for {}",
           api::format_duration(patience));
    changed_.wait_until(lock, stop, limit, [&] { return loaded_ || failure_ || ended_; });
    if (stop.stop_requested()) fail(ErrorKind::kCancelled, "request canceled");
  }
  if (loaded_) return *loaded_;
  if (failure_) {
    const bool memory = failure_->kind() == ErrorKind::kOutOfMemory;  // who waits may make room
    throw Error(memory ? failure_->kind() : ErrorKind::kInternal, failure_->what(),
                failure_->shortage());
  }
  fail(ErrorKind::kInternal, "{}", kRunnerStopped);
}

template <class Message>
std::unique_ptr<Generation> Runner::send(Message request,
                                         const std::shared_ptr<EventQueue>& queue) {
  const Error stopped(ErrorKind::kInternal, std::string(kRunnerStopped));
  constexpr Worker kWorker =
      std::is_same_v<Message, protocol::Tokenize> || std::is_same_v<Message, protocol::Detokenize>
          ? kTexts
          : kSteps;
  request.request_id = log::request_id();
  {
    const std::lock_guard lock(mutex_);
    request.id = next_id_++;
    if (ended_ || killed_ || failure_)
      queue->end(failure_.value_or(stopped));
    else
      running_.emplace(request.id, Work{.queue = queue,
                                        .worker = kWorker,
                                        .request = log::request_id(),
                                        .begun = kWorker == kTexts});
    if (running_.size() == 1) changed_.notify_all();  // for the watch
  }
  const uint64_t id = request.id;
  auto generation = std::make_unique<Generation>(shared_from_this(), id, queue);
  try {
    child_->channel().send(to_json(protocol::Request(std::move(request))));
  } catch (const Error& e) {
    queue->end(e.kind() == ErrorKind::kTooLarge ? e : stopped);
    const std::lock_guard lock(mutex_);
    running_.erase(id);  // nobody will answer it
  }
  return generation;
}
template std::unique_ptr<Generation> Runner::send(protocol::Generate,
                                                  const std::shared_ptr<EventQueue>&);
template std::unique_ptr<Generation> Runner::send(protocol::Embed,
                                                  const std::shared_ptr<EventQueue>&);
template std::unique_ptr<Generation> Runner::send(protocol::Tokenize,
                                                  const std::shared_ptr<EventQueue>&);
template std::unique_ptr<Generation> Runner::send(protocol::Detokenize,
                                                  const std::shared_ptr<EventQueue>&);

void Runner::cancel(uint64_t id) {
  {
    const std::lock_guard lock(mutex_);
    const auto it = running_.find(id);
    if (it == running_.end() || ended_) return;  // it has ended by itself
    it->second.queue = nullptr;
  }
  try {
    child_->channel().send(to_json(protocol::Request(protocol::Cancel{id})));
  } catch (const Error& e) {
    log::debug("runner {}: {}", pid(), e.what());
  }
}

void Runner::read() {
  std::string why;
  try {
    while (auto message = child_->channel().receive())
      if (!dispatch(protocol::event_from_json(*message))) break;
  } catch (const Error& e) {
    why = e.what();  // a runner that talks nonsense has been taken over or is broken
  }
  // A runner that has closed its channel gets a moment to exit by itself, so that its end tells
  // more.
  std::unique_lock lock(mutex_);
  const std::chrono::milliseconds patience(retired_ ? 8000 : 500);
  lock.unlock();
  std::optional<std::string> ending = child_->wait(patience);
  if (!ending) {
    child_->kill();
    ending = child_->wait(std::chrono::seconds(60));
  }
  finish(why.empty() ? ending.value_or("does not end") : fmt::format("{}; {}", why, *ending));
}

bool Runner::dispatch(protocol::Event event) {
  const std::lock_guard lock(mutex_);
  const auto find = [&](uint64_t id) -> std::shared_ptr<EventQueue> {
    const auto it = running_.find(id);
    if (it == running_.end()) return nullptr;
    silence_[it->second.worker] = {};
    return it->second.queue;
  };
  last_sign_ = Clock::now();
  if (auto* loaded = std::get_if<protocol::Loaded>(&event)) {
    loaded_ = *loaded;
    changed_.notify_all();
  } else if (const auto* progress = std::get_if<protocol::Progress>(&event)) {
    progress_ = std::clamp(progress->fraction, 0.0, 1.0);
  } else if (const auto* usage = std::get_if<protocol::Usage>(&event)) {
    usage_ = *usage;
    silence_[kSteps] = {};
  } else if (const auto* alive = std::get_if<protocol::Alive>(&event)) {
    if (alive->steps) silence_[kSteps] = {};
    if (alive->texts) silence_[kTexts] = {};
  } else if (const auto* begun = std::get_if<protocol::Begun>(&event)) {
    const uint64_t id = begun->id;
    if (const auto queue = find(id)) {
      running_.at(id).begun = true;
      queue->put(std::move(event));
    }
  } else if (auto* text = std::get_if<protocol::Text>(&event)) {
    if (const auto queue = find(text->id)) queue->put(std::move(event));
  } else if (auto* vector = std::get_if<protocol::Vector>(&event)) {
    if (const auto queue = find(vector->id)) queue->put(std::move(event));
  } else if (auto* tokens = std::get_if<protocol::Tokens>(&event)) {
    if (const auto queue = find(tokens->id)) queue->put(std::move(event));
  } else if (auto* done = std::get_if<protocol::Done>(&event)) {
    const uint64_t id = done->id;
    if (const auto queue = find(id)) queue->put(std::move(event));
    running_.erase(id);
  } else if (auto* failure = std::get_if<protocol::Failure>(&event)) {
    if (failure->id == 0) {
      // Once it is loaded, no request is at fault.
      failure_ = Error(loaded_ ? ErrorKind::kInternal : failure->kind, failure->message,
                       failure->shortage);
      return false;
    }
    if (const auto queue = find(failure->id)) queue->end(Error(failure->kind, failure->message));
    running_.erase(failure->id);
  }
  return true;
}

void Runner::finish(const std::string& why) {
  const Error stopped(ErrorKind::kInternal, std::string(kRunnerStopped));
  bool failed = false;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    failed = !killed_ || failure_;  // who has failed is killed soon after
    if (!loaded_ && failure_ && failure_->shortage()) {
      log::info("runner {}: {}", pid(), failure_->what());
      failed = false;
    }
    if (failed)
      log::error("runner {} {}{}", pid(), why,
                 failure_ ? fmt::format(": {}", failure_->what()) : "");
    end_all(failure_.value_or(stopped));
    changed_.notify_all();
  }
  if (care_.on_end) care_.on_end(failed);
}

void Runner::end_all(const Error& why) {
  for (const auto& [id, work] : running_)
    if (work.queue) work.queue->end(why);
  running_.clear();
}

bool Runner::owes(Worker worker) const {
  return std::ranges::any_of(running_,
                             [&](const auto& entry) { return entry.second.worker == worker; });
}

// Silence is counted in looks, each for little more than the time between two: where this process
// stood still as well (a suspended machine, a frozen container), nobody could have spoken.
void Runner::watch() {
  const auto between =
      std::clamp<std::chrono::nanoseconds>(care_.watchdog / 8, kShortestLook, kLongestLook);
  std::unique_lock lock(mutex_);
  while (!ended_ && !failure_) {
    changed_.wait(lock, [&] { return ended_ || failure_ || !running_.empty(); });
    const auto last = Clock::now();
    changed_.wait_for(lock, between, [&] { return ended_; });
    const auto passed = std::min<std::chrono::nanoseconds>(Clock::now() - last, 2 * between);
    for (const Worker worker : {kSteps, kTexts}) {
      std::chrono::nanoseconds& silence = silence_[worker];
      silence = owes(worker) ? silence + passed : std::chrono::nanoseconds(0);
      if (silence >= care_.watchdog && !ended_ && !failure_)
        give_up(
            fmt::format("the model runner made no progress for {} and was ended; the next "
                        "request starts a new one",
                        api::format_duration(care_.watchdog)));
    }
  }
}

// With the lock. Its requests end here and not with the process, which may hang in the system.
void Runner::give_up(const std::string& why) {
  log::error("runner {}: {} (requests: {})", pid(), why, running_.size());
  failure_.emplace(ErrorKind::kInternal, why);
  end_all(*failure_);
  changed_.notify_all();
  child_->kill();
}

}  // namespace cria::server
