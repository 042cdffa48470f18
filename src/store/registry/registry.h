// registry.h - requests to one model registry by the OCI distribution protocol, as Ollama speaks
// it.
//
// What a registry says is not trusted: credentials go to its own origin only; a redirect, or an
// upload's location, never leads from https to http, nor from the public network to a private,
// link-local or loopback address (decided on the resolved address, at the time of the connection).
#pragma once

#include "http/client.h"
#include "http/url.h"
#include "store/name.h"
#include "store/registry/auth.h"

#include <atomic>
#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>

namespace cria::store {

struct RegistryOptions {
  bool insecure = false;  // plain http
  std::chrono::milliseconds stall_timeout{30'000};
};

// Safe to use from several threads. One per transfer: a token is kept as long as it lives.
class Registry {
 public:
  // The registry of that name's host. Throws Error{kInvalidInput} "insecure protocol http" when the
  // name says http and `options` does not.
  Registry(const ModelName& name, const RegistryOptions& options);

  const std::string& origin() const { return base_.text; }  // "https://host/"
  // ".../v2/<namespace>/<model>/<rest>"
  std::string url(const ModelName& name, std::string_view rest) const;

  // One request to the registry or to a location that it named (any URL): adds User-Agent and, at
  // the registry's origin, Authorization; answers one 401 and asks again, throws
  // Error{kUnauthorized} "unauthorized: access denied" at the second. Every other status is a
  // response; redirects are not followed. Successes go to `sink`, or, when it is empty, into memory
  // (Error{kTooLarge} over `kMaxBody`). Error{kUpstream} when the network fails.
  http::ClientResponse send(http::ClientRequest request, const http::Sink& sink = {});
  // As send, and follows up to 10 redirects of a GET or HEAD, without Authorization to other hosts.
  http::ClientResponse follow(http::ClientRequest request, const http::Sink& sink = {});

  static constexpr int64_t kMaxBody = int64_t{16} << 20;
  static constexpr int kMaxRedirects = 10;

 private:
  http::ClientResponse attempt(const http::ClientRequest& request, const http::Sink& sink);
  void check_target(const http::Url& target) const;
  bool may_connect(http::AddressKind kind) const;

  http::Url base_;
  RegistryOptions options_;
  Authorizer authorizer_;
  http::Connections connections_;
  // Of the registry's address, from its first answer on.
  std::atomic<http::AddressKind> kind_ = http::AddressKind::kPublic;
  std::atomic<bool> kind_known_ = false;
};

// Throws for a status that is no success: 404 is Error{kNotFound} "file does not exist", any other
// Error{kUpstream} "<status>: <body>".
void require_ok(const http::ClientResponse& response);

}  // namespace cria::store
