// auth.h - how a registry learns who is asking: challenges, tokens, credentials.
//
// A 401 names what it wants (RFC 9110 11; distribution, docs: token and oauth2 authentication).
// With credentials of docker's for that host these are used; else the token is asked for with a
// signature by the user's Ed25519 key, as Ollama's registry wants it (spec store-and-registry.md
// 5), and where that is not understood without any. Nothing secret is sent to another host than the
// registry's own, and none stands in a log or an error.
#pragma once

#include "http/client.h"
#include "http/url.h"
#include "store/registry/docker_config.h"

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace cria::store {

struct Challenge {
  std::string scheme;                             // lower case: "bearer", "basic"
  std::map<std::string, std::string> parameters;  // names in lower case
};
// Of all WWW-Authenticate values; what does not parse is left out.
std::vector<Challenge> parse_challenges(std::string_view header);

// The realm with the query of a token request, sorted by key, as it will be sent. `nonce` empty:
// the request will not be signed.
std::string token_url(const Challenge& challenge, const std::string& nonce, int64_t now);

// One per registry host and transfer. Safe from several threads.
class Authorizer {
 public:
  Authorizer(std::string host_with_port, bool plain_http);
  // Authorization for requests to that very host; empty before the first challenge.
  http::Headers headers() const;
  // After a 401 to `url`, asked for with what headers() gave, `sent`: gets a token, or takes the
  // credentials. Throws Error{kUnauthorized} when there is no way.
  void answer(const http::ClientResponse& unauthorized, const http::Headers& sent,
              const std::string& url, const std::stop_token& stop);

 private:
  void use_basic();
  void use_bearer(const Challenge& challenge, const std::string& url, const std::stop_token& stop);
  http::ClientResponse ask_for_token(const Challenge& challenge, const std::stop_token& stop);
  const std::optional<Credentials>& credentials();

  const std::string host_;  // lower case, with its port, if any
  const bool plain_http_;
  mutable std::mutex mutex_;
  std::string authorization_, scope_;  // the latest token, and what it was asked for
  std::optional<std::optional<Credentials>> credentials_;  // looked up once
};

}  // namespace cria::store
