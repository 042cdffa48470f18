// log_context.h - which request a thread works for: its id stands in every line that it logs.
#pragma once

#include <string>

namespace cria::log {

// For the thread that makes it, until it ends. Not nested.
class RequestScope {
 public:
  explicit RequestScope(std::string id);
  ~RequestScope();
  RequestScope(const RequestScope&) = delete;
  RequestScope& operator=(const RequestScope&) = delete;
};

const std::string& request_id();  // of this thread; empty outside a request
bool is_json();                   // CRIA_LOG_FORMAT=json: every line is an object

}  // namespace cria::log
