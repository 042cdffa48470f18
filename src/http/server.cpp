#include "http/server.h"

#include "base/error.h"
#include "base/log.h"
#include "http/connection.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <list>
#include <mutex>
#include <thread>

namespace cria::http {
namespace {

using asio::ip::tcp;
using Code = boost::system::error_code;
constexpr auto kResult = asio::as_tuple(asio::use_awaitable);

tcp::endpoint resolve(asio::io_context& io, const ServerOptions& options) {
  Code code;
  const std::string& host = options.host;
  const auto address = asio::ip::make_address(host, code);
  if (!code) return {address, options.port};
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(host, std::to_string(options.port), code);
  if (code || found.empty())
    fail(ErrorKind::kInvalidInput, "cannot listen on \"{}\": no such address", host);
  return *found.begin();
}

// Raises the limit of descriptors as far as this process may. What is left of it for files,
// children and the like stays free however many connections come.
size_t connections_by_descriptors() {
  constexpr rlim_t kForOthers = 256;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return kForOthers;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<size_t>(limit.rlim_cur > 2 * kForOthers ? limit.rlim_cur - kForOthers
                                                             : limit.rlim_cur / 2);
}

// For a connection that nobody will serve. Its send buffer is empty, so nothing waits here.
void turn_away(Socket& socket) {
  static constexpr std::string_view kAnswer =
      "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json; charset=utf-8\r\n"
      "Content-Length: 51\r\nConnection: close\r\n\r\n"
      R"({"error":"server busy: too many open connections"})"
      "\n";
  Code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(kAnswer), ignored);
  socket.shutdown(Socket::shutdown_send, ignored);
}

std::string text_of(const tcp::endpoint& endpoint) {
  const std::string address = endpoint.address().to_string();
  return endpoint.address().is_v6() ? fmt::format("[{}]:{}", address, endpoint.port())
                                    : fmt::format("{}:{}", address, endpoint.port());
}

}  // namespace

struct Server::Core {
  ServerOptions options;
  BodyRuleOf body_rule;
  Handler handler;
  asio::io_context io;
  tcp::acceptor acceptor{io};
  Strand accepting = asio::make_strand(io);  // uses the acceptor, from run() on
  asio::signal_set signals{io};
  tcp::endpoint bound;
  std::mutex mutex;
  std::list<std::weak_ptr<Connection>> connections;
  size_t look_at = 64;  // so many of them: time to drop those that have ended
  bool stopped = false;
  const size_t max_connections;
  Workers workers;
  Connection::Shared shared{options, body_rule, handler, workers};

  Core(ServerOptions the_options, BodyRuleOf rule, Handler the_handler)
      : options(std::move(the_options)),
        body_rule(std::move(rule)),
        handler(std::move(the_handler)),
        max_connections(options.max_connections > 0 ? options.max_connections
                                                    : connections_by_descriptors()),
        workers(options.max_handlers) {}

  void bind();
  Code bind_to(const tcp::endpoint& wanted);
  asio::awaitable<void> accept_all();
  void start(asio::basic_stream_socket<tcp, Strand> socket, const Strand& strand);
};

Code Server::Core::bind_to(const tcp::endpoint& wanted) {
  Code code;
  if (acceptor.is_open()) acceptor.close(code);
  acceptor.open(wanted.protocol(), code);
  if (!code) acceptor.set_option(tcp::acceptor::reuse_address(true), code);
  // Without a host every address of both families is meant.
  if (!code && options.host.empty() && wanted.address().is_v6())
    acceptor.set_option(asio::ip::v6_only(false), code);
  if (!code) acceptor.bind(wanted, code);
  if (!code) acceptor.listen(asio::socket_base::max_listen_connections, code);
  return code;
}

void Server::Core::bind() {
  const bool everywhere = options.host.empty();
  tcp::endpoint wanted = everywhere ? tcp::endpoint(tcp::v6(), options.port) : resolve(io, options);
  Code code = bind_to(wanted);
  if (code && code != asio::error::address_in_use && everywhere) {  // a machine without IPv6
    wanted = tcp::endpoint(tcp::v4(), options.port);
    code = bind_to(wanted);
  }
  if (code == asio::error::address_in_use)
    fail(ErrorKind::kConflict, "listen tcp {}: bind: address already in use", text_of(wanted));
  if (code) fail(ErrorKind::kInvalidInput, "listen tcp {}: {}", text_of(wanted), code.message());
  bound = acceptor.local_endpoint();
}

void Server::Core::start(Socket socket, const Strand& strand) {
  std::shared_ptr<Connection> connection;
  {
    const std::lock_guard lock(mutex);
    if (stopped) return;
    if (connections.size() >= std::min(look_at, max_connections)) {
      connections.remove_if([](const auto& weak) { return weak.expired(); });
      look_at = std::max<size_t>(64, 2 * connections.size());
    }
    if (connections.size() >= max_connections) return turn_away(socket);
    connection = std::make_shared<Connection>(std::move(socket), strand, shared);
    connections.push_back(connection);
  }
  asio::co_spawn(strand, connection->serve(), [connection](const std::exception_ptr& error) {
    if (!error) return;
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& e) {
      log::debug("a connection ended: {}", e.what());
    }
  });
}

asio::awaitable<void> Server::Core::accept_all() {
  while (acceptor.is_open()) {
    const Strand strand = asio::make_strand(io);
    auto [code, socket] = co_await acceptor.async_accept(strand, kResult);
    if (!code) {
      start(std::move(socket), strand);
      continue;
    }
    if (code == asio::error::operation_aborted || !acceptor.is_open()) break;
    log::warn("cannot accept a connection: {}", code.message());  // out of descriptors, mostly
    asio::steady_timer pause(io, std::chrono::milliseconds(100));
    co_await pause.async_wait(kResult);
  }
}

Server::Server(ServerOptions options, BodyRuleOf body_rule, Handler handler)
    : core_(std::make_unique<Core>(std::move(options), std::move(body_rule), std::move(handler))) {
  core_->bind();
  if (core_->options.stop_on_signals) {
    core_->signals.add(SIGINT);
    core_->signals.add(SIGTERM);
    core_->signals.async_wait([this](const Code& code, int number) {
      if (code) return;
      log::info("signal {}: stopping", number);
      stop();
    });
  }
  asio::co_spawn(core_->accepting, core_->accept_all(), asio::detached);
}

Server::~Server() {
  stop();
}

std::string Server::address() const {
  return text_of(core_->bound);
}
uint16_t Server::port() const {
  return core_->bound.port();
}
bool Server::is_loopback() const {
  return core_->bound.address().is_loopback();
}

void Server::run() {
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(core_->options.io_threads));
  for (int i = 0; i < core_->options.io_threads; ++i)
    threads.emplace_back([this] { core_->io.run(); });
  for (std::thread& thread : threads) thread.join();  // nothing is left to do only after stop()
  // Handlers that still run have lost their connection; they see gone() and return.
  core_->workers.finish();
}

void Server::stop() {
  std::list<std::weak_ptr<Connection>> open;
  {
    const std::lock_guard lock(core_->mutex);
    if (core_->stopped) return;
    core_->stopped = true;
    open.swap(core_->connections);
  }
  asio::post(core_->accepting, [core = core_.get()] {
    Code ignored;
    core->acceptor.close(ignored);
    core->signals.cancel(ignored);
  });
  for (const auto& weak : open)
    if (const auto connection = weak.lock()) connection->close();
  if (core_->options.on_stop) core_->options.on_stop();
}

}  // namespace cria::http
