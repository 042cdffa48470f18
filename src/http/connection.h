// connection.h - one client connection as a coroutine. Internal to http.
#pragma once

#include "http/exchange.h"
#include "http/workers.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>

#include <memory>
#include <optional>
#include <string>

namespace cria::http {

namespace asio = boost::asio;
using Strand = asio::strand<asio::io_context::executor_type>;
using Socket = asio::basic_stream_socket<asio::ip::tcp, Strand>;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Strand>;

// Cuts the connection when it passes. Cheap to set again.
class Deadline {
 public:
  Deadline(const Strand& strand, Socket& socket) : timer_(strand), socket_(socket) {}
  void set(std::chrono::milliseconds after, const std::shared_ptr<void>& owner);
  void clear() { timer_.cancel(); }

 private:
  Timer timer_;
  Socket& socket_;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  struct Shared {  // outlives every connection
    const ServerOptions& options;
    const BodyRuleOf& body_rule;
    const Handler& handler;
    Workers& workers;
  };

  Connection(Socket socket, const Strand& strand, const Shared& shared);
  asio::awaitable<void> serve();
  void close();  // from any thread

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;

  asio::awaitable<bool> read_more();                  // into buffer_; false at the end
  asio::awaitable<bool> read_header(Parser& parser);  // false: the connection is over
  asio::awaitable<bool> read_piece(Parser& parser, std::string& out);
  asio::awaitable<bool> read_whole_body(Parser& parser, Request& request, uint64_t limit);
  asio::awaitable<bool> exchange(Parser& parser, Request request, const BodyRule& rule);
  asio::awaitable<void> feed(Parser& parser, std::shared_ptr<ExchangeState> state, uint64_t limit);
  asio::awaitable<void> watch(std::shared_ptr<ExchangeState> state);
  asio::awaitable<void> answer(const Parser& parser, std::shared_ptr<ExchangeState> state,
                               bool* intact);
  asio::awaitable<bool> send(std::string bytes);
  asio::awaitable<void> refuse(int status, std::string message);
  asio::awaitable<void> linger();
  asio::awaitable<void> wait_for_wake();
  Request request_of(const Parser& parser) const;
  std::string head_text(const Response& response, bool stream) const;

  const Strand strand_;
  Socket socket_;
  const Shared& shared_;
  Deadline read_deadline_, write_deadline_;
  Timer wake_, input_wake_;
  std::string buffer_;
  std::string body_problem_;  // why read_piece() failed
  std::shared_ptr<ExchangeState> current_;
  bool keep_alive_ = false, chunked_ = true, is_head_ = false, expects_continue_ = false;
};

}  // namespace cria::http
