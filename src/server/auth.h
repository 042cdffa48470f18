// auth.h - whether a request's API key lets it through.
#pragma once

#include "api/keys.h"
#include "http/server.h"

#include <string>

namespace cria::server {

struct AuthVerdict {
  int refuse_with = 0;  // 0: go on; 401, 403 or 503
  std::string message;
  std::string challenge;  // the value of WWW-Authenticate (RFC 6750), empty: none
  std::string key_id;     // of the key that was sent
};

// The key is a bearer token, or the x-api-key of Anthropic's dialect. While no keys are required
// everything passes, whatever was sent.
AuthVerdict check_key(api::KeyRing& keys, const http::Request& head, api::Scope needed);

}  // namespace cria::server
