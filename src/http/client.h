// client.h - HTTP requests of this process: the command line to its server, the server to
// registries.
//
// Every function blocks, may be called from any thread, and throws Error{kUpstream} when the other
// side cannot be reached or breaks off, {kCancelled} when `stop` was requested. A status of 400 or
// more is a response like any other.
#pragma once

#include "base/json.h"
#include "http/message.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

namespace cria::http {

struct ClientRequest {
  std::string method = "GET";
  std::string url;
  Headers headers;
  std::string body;
  std::filesystem::path upload;  // not empty: this file is the body, streamed
  std::function<void(int64_t sent, int64_t total)> progress;  // of the upload
  std::stop_token stop;
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds stall_timeout{0};  // no byte for so long is an error; 0: never
  int max_redirects = 0;
};

struct ClientResponse {
  int status = 0;
  Headers headers;
  std::string body;  // empty when it went to a sink

  bool ok() const { return status >= 200 && status < 300; }
};

inline constexpr int64_t kMaxResponse = int64_t{1} << 30;

// The whole response in memory; Error{kTooLarge} over `max_bytes`.
ClientResponse fetch(const ClientRequest& request, int64_t max_bytes = kMaxResponse);

// Gets bytes as they arrive; false ends the transfer without an error. Errors (status >= 400) go to
// ClientResponse::body instead.
using Sink = std::function<bool(std::string_view bytes)>;
ClientResponse fetch_to(const ClientRequest& request, const Sink& sink);

// fetch_to by line (NDJSON), without the line ends.
ClientResponse fetch_lines(const ClientRequest& request, const Sink& on_line);

// A request with a JSON body and its Content-Type.
ClientRequest json_request(std::string method, std::string url, const Json& body);

}  // namespace cria::http
