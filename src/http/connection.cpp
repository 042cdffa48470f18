#include "http/connection.h"

#include "base/log.h"

#include <poll.h>
#include <sys/socket.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/rfc7230.hpp>

#include <utility>

namespace cria::http {
namespace {

namespace beast_http = boost::beast::http;
using namespace asio::experimental::awaitable_operators;
using Code = boost::system::error_code;
constexpr auto kResult = asio::as_tuple(asio::use_awaitable);
constexpr size_t kReadStep = size_t{64} << 10;
constexpr std::chrono::milliseconds kPollStep{200};
// How long an unwanted body is read so that the client can read our answer first: many clients
// send all of it before they look.
constexpr std::chrono::seconds kLingerTime{30};
constexpr std::chrono::seconds kLingerSilence{2};

// A header value must not start another header.
std::string one_line(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 && c != '\t') c = ' ';
  return out;
}

std::string view(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

Response error_response(int status, const std::string& message) {
  std::string escaped;
  for (const char c : message) {
    if (c == '"' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return {.status = status, .body = fmt::format("{{\"error\":\"{}\"}}", one_line(escaped))};
}

}  // namespace

void Deadline::set(std::chrono::milliseconds after, const std::shared_ptr<void>& owner) {
  timer_.expires_after(after);
  timer_.async_wait([this, owner](const Code& code) {
    Code ignored;
    if (!code && timer_.expiry() <= std::chrono::steady_clock::now()) socket_.close(ignored);
  });
}

Connection::Connection(Socket socket, const Strand& strand, const Shared& shared)
    : strand_(strand),
      socket_(std::move(socket)),
      shared_(shared),
      read_deadline_(strand, socket_),
      write_deadline_(strand, socket_),
      wake_(strand),
      input_wake_(strand) {
  Code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
}

void Connection::close() {
  asio::post(strand_, [self = shared_from_this()] {
    Code ignored;
    self->socket_.close(ignored);
    self->wake_.cancel();
    self->input_wake_.cancel();
    if (self->current_) self->current_->abandon();
  });
}

asio::awaitable<bool> Connection::read_more() {
  const size_t have = buffer_.size();
  buffer_.resize(have + kReadStep);
  auto [code, count] =
      co_await socket_.async_read_some(asio::buffer(buffer_.data() + have, kReadStep), kResult);
  buffer_.resize(have + count);
  co_return !code && count > 0;
}

asio::awaitable<bool> Connection::read_header(Parser& parser) {
  parser.header_limit(static_cast<std::uint32_t>(shared_.options.max_header_bytes));
  parser.body_limit(boost::none);
  if (buffer_.empty()) {
    read_deadline_.set(shared_.options.idle_timeout, shared_from_this());
    std::string().swap(buffer_);  // thousands may wait here, so none of them keeps memory
    const auto [code] = co_await socket_.async_wait(Socket::wait_read, kResult);
    if (code || !co_await read_more()) co_return false;
  }
  read_deadline_.set(shared_.options.header_timeout, shared_from_this());
  while (!parser.is_header_done()) {
    Code code;
    const size_t used = parser.put(asio::const_buffer(buffer_.data(), buffer_.size()), code);
    buffer_.erase(0, used);
    if (code == beast_http::error::header_limit) {
      co_await refuse(431, "the request's headers are too long");
      co_return false;
    }
    if (code && code != beast_http::error::need_more && code != beast_http::error::need_buffer) {
      co_await refuse(400, "malformed HTTP request: " + code.message());
      co_return false;
    }
    if (parser.is_header_done()) break;
    // What the parser keeps unread is one incomplete line or header block: bound it too.
    if (buffer_.size() > shared_.options.max_header_bytes) {
      co_await refuse(431, "the request's headers are too long");
      co_return false;
    }
    if (!co_await read_more()) co_return false;
  }
  // RFC 9112, 3.2: a proxy may have judged the one host and we the other.
  if (parser.get().count(beast_http::field::host) > 1) {
    co_await refuse(400, "malformed HTTP request: more than one Host header");
    co_return false;
  }
  read_deadline_.clear();
  co_return true;
}

Request Connection::request_of(const Parser& parser) const {
  const auto& message = parser.get();
  Request request;
  request.method = view(message.method_string());
  const std::string target = view(message.target());
  const size_t question = target.find('?');
  request.path = target.substr(0, question);
  if (question != std::string::npos) request.query = target.substr(question + 1);
  for (const auto& field : message)
    request.headers.push_back({view(field.name_string()), view(field.value())});
  Code code;
  const auto peer = socket_.remote_endpoint(code);
  if (!code) {
    const auto& address = peer.address();  // a socket of both families maps those of IPv4
    const bool mapped = address.is_v6() && address.to_v6().is_v4_mapped();
    request.client =
        mapped ? asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string()
               : address.to_string();
  }
  return request;
}

// Bytes of the body, at most kReadStep, none when a read brought framing only; false with
// body_problem_ when the connection broke or the framing is malformed.
asio::awaitable<bool> Connection::read_piece(Parser& parser, std::string& out) {
  out.resize(kReadStep);
  body_problem_ = "the request's body ended early";
  for (bool read = !buffer_.empty();; read = true) {
    if (!read && !co_await read_more()) co_return false;
    auto& body = parser.get().body();
    body.data = out.data();
    body.size = out.size();
    body.more = true;
    Code code;
    const size_t used = parser.put(asio::const_buffer(buffer_.data(), buffer_.size()), code);
    buffer_.erase(0, used);
    const size_t count = out.size() - body.size;
    if (code && code != beast_http::error::need_more && code != beast_http::error::need_buffer) {
      body_problem_ = "malformed request body: " + code.message();
      co_return false;
    }
    if (count > 0 || parser.is_done()) {
      out.resize(count);
      co_return true;
    }
    // What is left is the unfinished head of a chunk, or fields behind the last one.
    if (buffer_.size() > shared_.options.max_header_bytes) {
      body_problem_ = "malformed request body: the head of a chunk is too long";
      co_return false;
    }
    if (code == beast_http::error::need_more || used == 0)
      if (!co_await read_more()) co_return false;
  }
}

asio::awaitable<bool> Connection::read_whole_body(Parser& parser, Request& request,
                                                  uint64_t limit) {
  if (parser.content_length_remaining().value_or(0) > limit) {
    co_await refuse(413, fmt::format("the request's body is over the limit of {} bytes", limit));
    co_return false;
  }
  if (expects_continue_ && !co_await send("HTTP/1.1 100 Continue\r\n\r\n")) co_return false;
  std::string piece;
  while (!parser.is_done()) {
    read_deadline_.set(shared_.options.body_timeout, shared_from_this());
    if (!co_await read_piece(parser, piece)) {
      if (socket_.is_open()) co_await refuse(400, body_problem_);
      co_return false;
    }
    if (request.body.size() + piece.size() > limit) {
      co_await refuse(413, fmt::format("the request's body is over the limit of {} bytes", limit));
      co_return false;
    }
    request.body += piece;
  }
  read_deadline_.clear();
  co_return true;
}

asio::awaitable<void> Connection::serve() {
  const auto self = shared_from_this();
  for (bool more = true; more && socket_.is_open();) {
    Parser parser;
    if (!co_await read_header(parser)) break;
    Request request = request_of(parser);
    keep_alive_ = parser.get().keep_alive();
    chunked_ = parser.get().version() >= 11;
    is_head_ = request.method == "HEAD";
    const std::string* const expect = find_header(request.headers, "expect");
    expects_continue_ = chunked_ && expect && equal_ignoring_case(*expect, "100-continue");
    const BodyRule rule = shared_.body_rule(request);
    if (!rule.streamed && !co_await read_whole_body(parser, request, rule.max_bytes)) break;
    more = co_await exchange(parser, std::move(request), rule);
  }
  read_deadline_.clear();
  write_deadline_.clear();
  Code ignored;
  socket_.shutdown(Socket::shutdown_both, ignored);
  socket_.close(ignored);
}

// Runs the handler, sends its answer; true when the connection can take another request.
asio::awaitable<bool> Connection::exchange(Parser& parser, Request request, const BodyRule& rule) {
  const std::weak_ptr<Connection> weak = weak_from_this();
  const auto wake = [weak, strand = strand_] {
    asio::post(strand, [weak] {
      if (const auto self = weak.lock()) {
        self->wake_.cancel();
        self->input_wake_.cancel();
      }
    });
  };
  const auto state = std::make_shared<ExchangeState>(std::move(request), wake);
  current_ = state;
  const bool taken = shared_.workers.run([state, &handler = shared_.handler] {
    Exchange exchange(state);
    try {
      handler(exchange);
    } catch (const std::exception& e) {
      log::error("a handler failed: {}", e.what());
    }
    if (!exchange.started()) exchange.respond({.status = 500, .body = {}});
    state->finish();
  });
  if (!taken) {
    current_.reset();
    co_await refuse(503, "server busy, please try again.  maximum pending requests exceeded");
    co_return false;
  }
  bool intact = false;
  co_await (answer(parser, state, &intact) || feed(parser, state, rule.max_bytes));
  current_.reset();
  const bool body_read = parser.is_done();
  if (!intact) state->abandon();
  if (intact && !body_read) co_await linger();
  co_return intact&& body_read&& keep_alive_;
}

asio::awaitable<void> Connection::wait_for_wake() {
  wake_.expires_at(Timer::time_point::max());
  co_await wake_.async_wait(kResult);
}

asio::awaitable<bool> Connection::send(std::string bytes) {
  std::string_view left = bytes;
  while (!left.empty()) {
    write_deadline_.set(shared_.options.write_timeout, shared_from_this());
    auto [code, count] =
        co_await socket_.async_write_some(asio::buffer(left.data(), left.size()), kResult);
    if (code) co_return false;
    left.remove_prefix(count);
  }
  write_deadline_.clear();
  co_return true;
}

std::string Connection::head_text(const Response& response, bool stream) const {
  const auto reason = beast_http::obsolete_reason(static_cast<beast_http::status>(response.status));
  std::string text = fmt::format("HTTP/1.1 {} {}\r\n", response.status, view(reason));
  const bool bodiless = response.status == 204 || response.status == 304;
  if (!response.content_type.empty() && !(response.body.empty() && !stream && !is_head_))
    text += fmt::format("Content-Type: {}\r\n", one_line(response.content_type));
  for (const Header& header : response.headers)
    text += fmt::format("{}: {}\r\n", one_line(header.name), one_line(header.value));
  if (stream && chunked_) text += "Transfer-Encoding: chunked\r\n";
  if (!stream && !bodiless) text += fmt::format("Content-Length: {}\r\n", response.body.size());
  if (!keep_alive_) text += "Connection: close\r\n";
  return text + "\r\n";
}

asio::awaitable<void> Connection::answer(const Parser& parser, std::shared_ptr<ExchangeState> state,
                                         bool* intact) {
  for (;;) {
    ExchangeState::Output output = state->take_output();
    if (output.empty()) {
      if (!socket_.is_open()) co_return;  // closed: nobody wakes this again
      co_await wait_for_wake();
      continue;
    }
    std::string bytes;
    if (output.head) {
      if (output.stream && !chunked_) keep_alive_ = false;  // only closing can end it
      if (!parser.is_done()) keep_alive_ = false;  // the rest of the body is read, then dropped
      bytes = head_text(*output.head, output.stream);
      if (!is_head_) bytes += output.head->body;
    }
    const bool chunks = output.stream && chunked_ && !is_head_;
    if (!output.bytes.empty() && !is_head_)
      bytes +=
          chunks ? fmt::format("{:x}\r\n{}\r\n", output.bytes.size(), output.bytes) : output.bytes;
    if (output.finished && chunks) bytes += "0\r\n\r\n";
    if (!bytes.empty() && !co_await send(std::move(bytes))) co_return;
    if (output.finished) break;
  }
  *intact = true;
}

// Passes the body of a streamed route on as the handler takes it, then watches the client.
asio::awaitable<void> Connection::feed(Parser& parser, std::shared_ptr<ExchangeState> state,
                                       uint64_t limit) {
  if (expects_continue_ && !parser.is_done() && !co_await send("HTTP/1.1 100 Continue\r\n\r\n"))
    co_return;
  uint64_t total = 0;
  std::string piece;
  while (!parser.is_done()) {
    if (!state->wants_input()) {
      if (!socket_.is_open()) co_return;
      input_wake_.expires_at(Timer::time_point::max());
      co_await input_wake_.async_wait(kResult);
      continue;
    }
    read_deadline_.set(shared_.options.body_timeout, shared_from_this());
    if (!co_await read_piece(parser, piece)) {
      state->fail_input(ErrorKind::kInvalidInput, body_problem_);
      co_return;
    }
    read_deadline_.clear();
    total += piece.size();
    if (total > limit) {
      state->fail_input(ErrorKind::kTooLarge,
                        fmt::format("the request's body is over the limit of {} bytes", limit));
      break;
    }
    if (!piece.empty()) state->put_input(std::exchange(piece, {}));
  }
  state->end_input();
  co_await watch(state);
}

// Tells the handler when the client will send no more. Whether it still reads only writing can
// tell: the answer, or as much as the handler has of it, is sent. Returns when the connection is
// broken.
asio::awaitable<void> Connection::watch(std::shared_ptr<ExchangeState> state) {
  bool pipelined = !buffer_.empty(), broken = false, ended = false;
  while (!ended) {
    if (!pipelined) {
      auto [code] = co_await socket_.async_wait(Socket::wait_read, kResult);
      if (code) co_return;
      char byte = 0;
      const ssize_t n = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
      broken = n < 0 && errno != EAGAIN && errno != EINTR;
      ended = broken || n == 0;
      pipelined = n > 0;
      continue;
    }
    // The next request is there already, so the socket is always readable: look now and then.
    Timer pause(strand_, kPollStep);
    auto [code] = co_await pause.async_wait(kResult);
    if (code) co_return;
    pollfd entry = {.fd = socket_.native_handle(), .events = POLLRDHUP, .revents = 0};
    ended = ::poll(&entry, 1, 0) > 0;
    broken = ended && (entry.revents & (POLLERR | POLLHUP)) != 0;
  }
  if (!broken) {
    state->gone.request_stop();
    const auto [code] = co_await socket_.async_wait(Socket::wait_error, kResult);
    if (code) co_return;
  }
  state->abandon();
}

// For requests that no handler sees.
asio::awaitable<void> Connection::refuse(int status, std::string message) {
  keep_alive_ = false;
  const Response response = error_response(status, message);
  if (co_await send(head_text(response, false) + response.body)) co_await linger();
}

// Closing with unread bytes resets the connection, which may cost the client our answer.
asio::awaitable<void> Connection::linger() {
  Code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
  const auto end = std::chrono::steady_clock::now() + kLingerTime;
  do {
    buffer_.clear();
    read_deadline_.set(kLingerSilence, shared_from_this());
  } while (std::chrono::steady_clock::now() < end && co_await read_more());
  buffer_.clear();
}

}  // namespace cria::http
