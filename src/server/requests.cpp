#include "server/requests.h"

#include "server/wire.h"

#include <algorithm>
#include <utility>

namespace cria::server {
namespace {

constexpr size_t kMaxId = 128;
constexpr std::string_view kIdCharacters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-";

struct Current {
  Requests* requests = nullptr;
  RequestFacts* facts = nullptr;
};
Current& current() {
  thread_local Current of_this_thread;
  return of_this_thread;
}

}  // namespace

std::string_view phase_name(Phase phase) {
  switch (phase) {
    case Phase::kReceived:
      return "received";
    case Phase::kQueued:
      return "queued";
    case Phase::kLoading:
      return "loading";
    case Phase::kPrompt:
      return "prompt";
    case Phase::kGenerating:
      break;
  }
  return "generating";
}

std::string request_id_for(const std::string* given) {
  const bool sane = given != nullptr && !given->empty() && given->size() <= kMaxId &&
                    given->find_first_not_of(kIdCharacters) == std::string::npos;
  return sane ? *given : new_id("req_");
}

Requests::Entry::Entry(Requests& requests, RequestFacts facts) : requests_(requests) {
  const std::lock_guard lock(requests.mutex_);
  place_ = requests.running_.insert(requests.running_.end(), std::move(facts));
  current() = {.requests = &requests, .facts = &*place_};
}

Requests::Entry::~Entry() {
  const std::lock_guard lock(requests_.mutex_);
  requests_.running_.erase(place_);
  current() = {};
}

RequestFacts Requests::Entry::facts() const {
  const std::lock_guard lock(requests_.mutex_);
  return *place_;
}

void Requests::Entry::route(std::string route, std::string key_id) {
  const std::lock_guard lock(requests_.mutex_);
  place_->route = std::move(route);
  place_->key_id = std::move(key_id);
}

std::vector<RequestFacts> Requests::list() const {
  const std::lock_guard lock(mutex_);
  return {running_.begin(), running_.end()};
}

void note(const std::function<void(RequestFacts&)>& change) {
  const Current here = current();
  if (here.requests == nullptr) return;
  const std::lock_guard lock(here.requests->mutex_);
  change(*here.facts);
}

void note_model(const std::string& short_name) {
  note([&](RequestFacts& facts) { facts.model = short_name; });
}

void note_phase(Phase phase) {
  note([&](RequestFacts& facts) { facts.phase = phase; });
}

void note_ready(std::chrono::nanoseconds queued) {
  note([&](RequestFacts& facts) {
    facts.queued = queued;
    facts.phase = Phase::kPrompt;
  });
}

void note_sent() {
  note([](RequestFacts& facts) {
    facts.sent = RequestFacts::Clock::now();
    facts.phase = Phase::kQueued;
  });
}

// Of several answers to one request the first one's place counts.
void note_begun() {
  note([](RequestFacts& facts) {
    if (facts.phase != Phase::kQueued) return;
    facts.phase = Phase::kPrompt;
    facts.queued = facts.queued.value_or(std::chrono::nanoseconds(0)) +
                   (RequestFacts::Clock::now() - facts.sent);
  });
}

void note_text(const protocol::Text& text) {
  note([&](RequestFacts& facts) {
    if (!facts.first_token) facts.first_token = RequestFacts::Clock::now() - facts.start;
    facts.phase = Phase::kGenerating;
    facts.prompt_tokens = std::max(facts.prompt_tokens, text.prompt_tokens);
    facts.generated_tokens = std::max(facts.generated_tokens, text.generated_tokens);
  });
}

// Of several answers to one request the sums count.
void note_done(const protocol::Done& done) {
  note([&](RequestFacts& facts) {
    if (facts.answers++ == 0) {
      facts.prompt_tokens = 0;
      facts.generated_tokens = 0;
    }
    facts.prompt_tokens += done.prompt_tokens;
    facts.cached_tokens += done.cached_tokens;
    facts.generated_tokens += done.generated_tokens;
    facts.truncated = done.truncated;
    facts.shifted_tokens += done.shifted_tokens;
    facts.generate_ns += done.generate_ns;
  });
}

void note_error(const std::string& message) {
  note([&](RequestFacts& facts) { facts.error = message; });
}

}  // namespace cria::server
