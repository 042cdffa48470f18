// access.h - which browsers and which names may reach the server: CORS and the guard against DNS
// rebinding. Pure functions of a request's headers.
#pragma once

#include "http/message.h"

#include <string>
#include <string_view>
#include <vector>

namespace cria::server {

class Access {
 public:
  // `origins`: the setting, comma-separated; throws Error{kInvalidInput} for an entry that could
  // never match. `loopback`: the server listens on a loopback address only.
  Access(std::string_view origins, bool loopback, std::vector<std::string> own_names);

  struct Verdict {
    int refuse_with = 0;    // 0: go on; 204: answered here; 403
    http::Headers headers;  // for whatever answer follows
  };
  Verdict check(const std::string& method, const http::Headers& headers) const;

 private:
  bool origin_allowed(const std::string& origin) const;
  bool host_allowed(std::string_view host) const;

  std::vector<std::string> origins_;
  bool any_origin_ = false;
  const bool loopback_;
  const std::vector<std::string> own_names_;  // host name and addresses of this machine
};

std::vector<std::string> names_of_this_machine();

}  // namespace cria::server
