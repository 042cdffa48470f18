// auth.h - who we are to a registry.
#pragma once

#include "http/client.h"

#include <stop_token>
#include <string>

namespace cria::store {

// One per registry host and transfer; safe to use from several threads.
class Authorizer {
 public:
  Authorizer(std::string host_with_port, bool plain_http);
  // Authorization for requests to this very host, or none.
  http::Headers headers() const;
  // After a 401 to `url`: gets a token. Throws Error{kUnauthorized} when it cannot.
  void answer(const http::ClientResponse& unauthorized, const std::string& url,
              const std::stop_token& stop);

 private:
  std::string host_;
};

}  // namespace cria::store
