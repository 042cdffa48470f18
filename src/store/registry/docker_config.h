// docker_config.h - the credentials that `docker login` left for a registry.
//
// From config.json in $DOCKER_CONFIG or ~/.docker, or from the helper program that it names
// (docker-credential-NAME). No error text of these functions contains any of what they read.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace cria::store {

struct Credentials {
  std::string user, password;
  std::string identity_token;  // not empty: to be traded for tokens, there is no password then
};

// What a helper program knows of a host; nullopt when it knows nothing.
std::optional<Credentials> ask_credential_helper(const std::string& name, const std::string& host,
                                                 std::chrono::milliseconds timeout);

// Of config.json's `text` for `host` ("name[:port]" in lower case). A helper of that very host goes
// before what stands in the file, the helper for all hosts after it. Throws Error{kInvalidInput}
// for a broken file, {kUnauthorized} when the host's helper fails.
std::optional<Credentials> docker_credentials(std::string_view text, const std::string& host);

// Of the user's config.json; nullopt without one.
std::optional<Credentials> docker_credentials(const std::string& host);

}  // namespace cria::store
