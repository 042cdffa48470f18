// requests.h - the requests that are being answered: what /api/status shows of them, and what the
// log and the metrics get when they end.
//
// A request has a thread of its own, so what is deep in its way notes what happens by the free
// functions, which find the request of their thread and do nothing outside one.
#pragma once

#include "protocol/protocol.h"

#include <chrono>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cria::server {

enum class Phase { kReceived, kQueued, kLoading, kPrompt, kGenerating };
std::string_view phase_name(Phase phase);

struct RequestFacts {
  using Clock = std::chrono::steady_clock;
  std::string id, method, path, client;
  std::string route;   // the row of the table, "none" without one
  std::string key_id;  // of the API key, if any
  std::string model;   // as the store knows it; empty before it is found
  std::string error;   // what was reported
  Phase phase = Phase::kReceived;
  Clock::time_point start = Clock::now();
  Clock::time_point sent;                               // to a runner, where it waits for a place
  std::optional<std::chrono::nanoseconds> queued;       // until it had a place in a runner
  std::optional<std::chrono::nanoseconds> first_token;  // from the start
  int64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;
  protocol::Truncation truncated;
  int64_t shifted_tokens = 0;
  int64_t generate_ns = 0;  // from the first token of each answer to its last
  int64_t answers = 0;      // that have come to their end
};

// "X-Request-Id" as the client gave it when it is 1 to 128 of A-Z a-z 0-9 . _ : -, else a new one.
std::string request_id_for(const std::string* given);

class Requests {
 public:
  // One request from its start to its end, on its thread.
  class Entry {
   public:
    Entry(Requests& requests, RequestFacts facts);
    ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    RequestFacts facts() const;
    void route(std::string route, std::string key_id);

   private:
    Requests& requests_;
    std::list<RequestFacts>::iterator place_;
  };

  std::vector<RequestFacts> list() const;  // oldest first

 private:
  friend void note(const std::function<void(RequestFacts&)>& change);
  mutable std::mutex mutex_;
  std::list<RequestFacts> running_;
};

void note_model(const std::string& short_name);
void note_phase(Phase phase);
void note_ready(std::chrono::nanoseconds queued);  // a runner is there
void note_sent();                                  // and a place in it is asked for
void note_begun();                                 // and there
void note_text(const protocol::Text& text);
void note_done(const protocol::Done& done);
void note_error(const std::string& message);

}  // namespace cria::server
