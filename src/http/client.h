// client.h - HTTP requests of this process: the command line to its server, the server to
// registries.
//
// Every function blocks, may be called from any thread, and throws Error{kUpstream} when the other
// side cannot be reached or breaks off, {kCancelled} when `stop` was requested. A status of 400 or
// more is a response like any other.
#pragma once

#include "base/json.h"
#include "http/address_kind.h"
#include "http/message.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

namespace cria::http {

// Keeps connections open from one request to the next. May be shared by several threads.
class Connections {
 public:
  Connections();
  ~Connections();
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  struct Idle;

 private:
  friend class PooledHandle;
  std::unique_ptr<Idle> idle_;
};

struct ClientResponse {
  int status = 0;
  Headers headers;
  std::string body;                         // empty when it went to a sink
  AddressKind peer = AddressKind::kPublic;  // of whom we were connected to; public through a proxy

  bool ok() const { return status >= 200 && status < 300; }
};

struct ClientRequest {
  std::string method = "GET";
  std::string url;  // redirects are not followed
  Headers headers;
  std::string body;
  std::filesystem::path upload;  // not empty: this file is the body, streamed
  int64_t upload_offset = 0;     // ... of which only these bytes are sent
  int64_t upload_length = -1;    // -1: to its end
  std::function<void(int64_t sent, int64_t total)> progress;  // of the upload
  std::stop_token stop;
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds stall_timeout{0};  // no byte for so long is an error; 0: never
  std::chrono::milliseconds total_timeout{0};  // for all of it; 0: none
  // Called with status and headers before the first byte of the body; what it throws ends the
  // transfer.
  std::function<void(const ClientResponse& head)> on_head;
  // Asked with the resolved address before a connection is made to it, so that a name cannot change
  // its meaning after it was checked. Not asked about configured proxies. "no" to all of a host's
  // addresses is Error{kForbidden}.
  std::function<bool(AddressKind kind)> may_connect;
  Connections* connections = nullptr;  // to take part in
};

inline constexpr int64_t kMaxResponse = int64_t{1} << 30;

// The whole response in memory; Error{kTooLarge} over `max_bytes`.
ClientResponse fetch(const ClientRequest& request, int64_t max_bytes = kMaxResponse);

// Gets the bytes of a success (2xx) as they arrive, at most 256 KiB at once; false ends the
// transfer without an error. The body of any other answer goes to ClientResponse::body, cut at 1
// MiB.
using Sink = std::function<bool(std::string_view bytes)>;
ClientResponse fetch_to(const ClientRequest& request, const Sink& sink);

// fetch_to by line (NDJSON), without the line ends.
ClientResponse fetch_lines(const ClientRequest& request, const Sink& on_line);

// A request with a JSON body and its Content-Type.
ClientRequest json_request(std::string method, std::string url, const Json& body);

}  // namespace cria::http
