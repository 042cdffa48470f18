// wire.h - what the dialects write differently: errors, the events of a stream, ids.
#pragma once

#include "base/json.h"
#include "http/server.h"

#include <string>
#include <string_view>

namespace cria::server {

enum class Dialect { kNative, kOpenAi, kAnthropic };
// By the path alone.
Dialect dialect_of(std::string_view path);
// /v1/models stands in two dialects: Anthropic's clients send the header anthropic-version.
Dialect dialect_of(const http::Request& request);

Json error_body(Dialect dialect, int status, std::string_view message);
// An error as the last piece of a stream that has begun.
std::string last_words(Dialect dialect, const Json& body);

// Server-sent events (text/event-stream), from the first one on. Errors before it become a real
// status.
class EventStream {
 public:
  explicit EventStream(http::Exchange& exchange) : exchange_(exchange) {}
  void send(const Json& data);
  void send_named(const Json& data);  // under the name that its "type" says
  void end();                         // "[DONE]", where the dialect has it

 private:
  void write(std::string_view bytes);
  http::Exchange& exchange_;
};

// `prefix` and 24 hex digits that are not used twice.
std::string new_id(std::string_view prefix);

int64_t unix_time();

}  // namespace cria::server
