// server.h - an HTTP/1.1 server that knows nothing of models.
//
// A few threads read and write all connections; every request runs in a thread of its own, so that
// a handler may simply block. A handler answers through its Exchange, once with respond() or piece
// by piece with start_stream() and write().
#pragma once

#include "http/message.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

namespace cria::http {

struct Request {
  std::string method;
  std::string path;   // as sent: still percent-encoded, without the query
  std::string query;  // without the "?"
  Headers headers;
  std::string client;  // address of the other side
  std::string body;    // empty for a route whose body is streamed
};

struct Response {
  int status = 200;
  std::string content_type = "application/json; charset=utf-8";
  std::string body;
  Headers headers;
};

class ExchangeState;  // shared by the handler's thread and the connection

// One request and its answer, for the thread of its handler.
class Exchange {
 public:
  explicit Exchange(std::shared_ptr<ExchangeState> state) : state_(std::move(state)) {}

  const Request& request() const;
  // From now on the request's: what the one that was sent stands for.
  void replace_body(std::string body);
  // Stopped when the client has gone away or the server ends: work for nobody must end.
  std::stop_token gone() const;

  // The next bytes of a streamed body; 0 at its end. Throws Error{kTooLarge} over the route's
  // limit, {kInvalidInput} for broken framing, {kCancelled} when the client is gone.
  size_t read_body(std::span<std::byte> out);

  // The whole answer. A second call, or one after start_stream, is our bug.
  void respond(Response response);
  // Status and headers; the body follows by write() and ends when the handler returns.
  void start_stream(Response head);
  // Blocks while the client is slower than we are. Throws Error{kCancelled} when it is gone.
  void write(std::string_view bytes);
  bool started() const;
  int status() const;  // of the answer, 0 before it

  // Sent with whatever answer comes.
  void add_header(std::string name, std::string value);

 private:
  std::shared_ptr<ExchangeState> state_;
};

struct BodyRule {
  uint64_t max_bytes = uint64_t{64} << 20;
  bool streamed = false;  // the handler reads it by read_body()
};

struct ServerOptions {
  std::string host = "127.0.0.1";  // an address or a name; empty: every interface
  uint16_t port = 0;               // 0: any free one
  int io_threads = 2;
  size_t max_handlers = 4096;
  // Open at once; one more gets 503. 0: what the process's limit of descriptors allows, less some
  // for everything else.
  size_t max_connections = 0;
  size_t max_header_bytes = size_t{64} << 10;
  std::chrono::milliseconds idle_timeout{300'000};  // between two requests of a connection
  std::chrono::milliseconds header_timeout{
      30'000};  // from a request's first byte to its headers' end
  std::chrono::milliseconds body_timeout{60'000};    // without a byte of the body
  std::chrono::milliseconds write_timeout{120'000};  // without the client taking a byte
  bool stop_on_signals = false;                      // SIGINT and SIGTERM call stop()
  std::function<void()> on_stop;                     // called once by stop(), from another thread
};

using Handler = std::function<void(Exchange&)>;
using BodyRuleOf = std::function<BodyRule(const Request& head)>;

class Server {
 public:
  // Binds; throws Error{kConflict} when the address is in use, {kInvalidInput} when it is none.
  // A handler that throws gets its client a 500.
  Server(ServerOptions options, BodyRuleOf body_rule, Handler handler);
  ~Server();

  std::string address() const;  // "127.0.0.1:11434"
  uint16_t port() const;
  bool is_loopback() const;
  void run();   // until stop(): then all connections are cut and all handlers have returned
  void stop();  // from any thread, also before run()

 private:
  struct Core;
  std::unique_ptr<Core> core_;
};

}  // namespace cria::http
