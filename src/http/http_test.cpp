// In-process server on a free port, real client, and raw sockets for what no polite client sends.
#include "base/error.h"
#include "http/client.h"
#include "http/server_for_tests.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <optional>
#include <thread>

namespace cria::http {
namespace {

using namespace std::chrono_literals;

// A plain connection; says what it sends, reads until the other side closes or `wanted` appears.
struct Raw {
  int descriptor = ::socket(AF_INET, SOCK_STREAM, 0);
  explicit Raw(const Running& running) {
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(running.server.port());
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(descriptor, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
    const timeval limit = {.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  ~Raw() { ::close(descriptor); }
  bool say(std::string_view text) const {  // false: the other side takes no more
    while (!text.empty()) {
      const ssize_t n = ::send(descriptor, text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      text.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  std::string hear(std::string_view wanted = "\1") const {
    std::string all;
    char buffer[4096];
    while (all.find(wanted) == std::string::npos) {
      const ssize_t n = ::recv(descriptor, buffer, sizeof buffer, 0);
      if (n <= 0) break;
      all.append(buffer, static_cast<size_t>(n));
    }
    return all;
  }
};

void echo(Exchange& exchange) {
  const Request& r = exchange.request();
  exchange.respond({.content_type = "text/plain", .body = r.method + " " + r.path + " " + r.body});
}

TEST_CASE("a request is answered, a connection serves several, HEAD has no body") {
  Running running(echo);
  CHECK(fetch({.url = running.url("/a?b=c")}).body == "GET /a ");
  const std::string big(3'000'000, 'x');
  CHECK(fetch({.method = "POST", .url = running.url("/p"), .body = big}).body == "POST /p " + big);
  const ClientResponse head = fetch({.method = "HEAD", .url = running.url("/h")});
  CHECK(head.status == 200);
  CHECK(head.body.empty());
  CHECK(*find_header(head.headers, "content-length") == "8");

  const Raw raw(running);
  raw.say("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
  raw.say(
      "POST /3 HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
      "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  const std::string all = raw.hear();
  CHECK(all.find("GET /1 ") < all.find("GET /2 "));
  CHECK(all.find("POST /3 abcde") != std::string::npos);
}

TEST_CASE("a stream arrives line by line while it is made, and can be ended by the client") {
  std::atomic<bool> saw_gone = false;
  Running running([&](Exchange& exchange) {
    exchange.start_stream({.content_type = "application/x-ndjson"});
    try {
      for (int i = 0; i < 1'000'000; ++i) exchange.write(fmt::format("{{\"i\":{}}}\n", i));
    } catch (const Error& e) {
      saw_gone = e.kind() == ErrorKind::kCancelled && exchange.gone().stop_requested();
    }
  });
  int lines = 0;
  const auto response = fetch_lines({.url = running.url("/")}, [&](std::string_view line) {
    CHECK(line == fmt::format("{{\"i\":{}}}", lines));
    return ++lines < 1000;
  });
  CHECK(lines == 1000);
  for (int i = 0; i < 2000 && !saw_gone; ++i) std::this_thread::sleep_for(10ms);
  CHECK(saw_gone);
}

TEST_CASE("a handler learns at once that its client has gone, also with a second request waiting") {
  for (const bool pipelined : {false, true}) {
    std::atomic<int> entered = 0, left = 0;
    Running running([&](Exchange& exchange) {
      ++entered;
      for (int i = 0; i < 12'000 && !exchange.gone().stop_requested(); ++i)
        std::this_thread::sleep_for(5ms);
      ++left;
    });
    {
      const Raw raw(running);
      raw.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      if (pipelined) raw.say("GET /2 HTTP/1.1\r\n");
      while (entered == 0) std::this_thread::sleep_for(1ms);
    }
    for (int i = 0; i < 4000 && left == 0; ++i) std::this_thread::sleep_for(5ms);
    CHECK(left == 1);
  }
}

TEST_CASE("a client that says it sends no more still gets its answer") {
  Running running([&](Exchange& exchange) {
    for (int i = 0; i < 1000 && !exchange.gone().stop_requested(); ++i)
      std::this_thread::sleep_for(5ms);
    exchange.start_stream({.content_type = "text/plain"});
    exchange.write("as far as it got");
  });
  const Raw raw(running);
  raw.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  ::shutdown(raw.descriptor, SHUT_WR);
  const std::string answer = raw.hear();
  CHECK(answer.find("as far as it got") != std::string::npos);
  CHECK(answer.ends_with("\r\n0\r\n\r\n"));
}

TEST_CASE("stop does not wait for a client that has said it sends no more") {
  std::atomic<bool> told = false;
  std::optional<Running> running(std::in_place, [&](Exchange& exchange) {
    while (!exchange.gone().stop_requested()) std::this_thread::sleep_for(1ms);
    told = true;
    exchange.start_stream({});
    try {
      for (;;) exchange.write(std::string(100'000, 's'));  // until nobody can read it
    } catch (const Error&) {
    }
  });
  const Raw raw(*running);
  raw.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  ::shutdown(raw.descriptor, SHUT_WR);
  while (!told) std::this_thread::sleep_for(1ms);
  running.reset();  // returns
}

TEST_CASE("an upload is streamed to the handler with back-pressure, digest for digest") {
  size_t received = 0, largest = 0;
  Running running([&](Exchange& exchange) {
    std::vector<std::byte> piece(100'000);
    while (const size_t n = exchange.read_body(piece)) {
      received += n;
      largest = std::max(largest, n);
      for (size_t i = 0; i < n; ++i)
        if (piece[i] != std::byte{'u'}) return exchange.respond({.status = 400, .body = "changed"});
    }
    exchange.respond({.status = 201});
  });
  const auto path = std::filesystem::temp_directory_path() / "cria_http_upload";
  std::ofstream(path, std::ios::binary) << std::string(20'000'000, 'u');
  int64_t last = 0;
  const ClientResponse response = fetch({.method = "POST",
                                         .url = running.url("/upload"),
                                         .upload = path,
                                         .progress = [&](int64_t sent, int64_t) { last = sent; }});
  CHECK(response.status == 201);
  CHECK(received == 20'000'000);
  CHECK(last == 20'000'000);
  CHECK(largest <= 100'000);
  std::filesystem::remove(path);
}

TEST_CASE("a handler may answer an upload without reading it") {
  Running running([](Exchange& exchange) { exchange.respond({.status = 200, .body = "have it"}); });
  const ClientResponse response =
      fetch({.method = "POST", .url = running.url("/upload"), .body = std::string(4'000'000, 'u')});
  CHECK(response.body == "have it");
}

TEST_CASE("a server stops while its handlers leave uploads unread") {
  std::atomic<bool> begun = false;
  std::optional<Running> running(std::in_place, [&begun](Exchange& exchange) {
    begun = true;
    while (!exchange.gone().stop_requested()) std::this_thread::sleep_for(1ms);
  });
  const Raw raw(*running);
  std::thread upload([&raw] {
    raw.say("POST /upload HTTP/1.1\r\nContent-Length: 60000000\r\n\r\n");
    raw.say(std::string(60'000'000, 'u'));
  });
  while (!begun) std::this_thread::sleep_for(1ms);
  std::this_thread::sleep_for(200ms);  // until no more is taken
  running.reset();                     // ends
  upload.join();
}

TEST_CASE(
    "a client that sends a long body to its end before it looks still reads an early answer") {
  Running running([](Exchange& exchange) { exchange.respond({.status = 507, .body = "full"}); });
  const Raw raw(running);
  raw.say("POST /upload HTTP/1.1\r\nContent-Length: 60000000\r\n\r\n");
  std::this_thread::sleep_for(50ms);
  CHECK(raw.say(std::string(60'000'000, 'u')));
  const std::string answer = raw.hear();
  CHECK(answer.starts_with("HTTP/1.1 507"));
  CHECK(answer.find("Connection: close\r\n") != std::string::npos);
  CHECK(answer.ends_with("full"));
}

TEST_CASE("bodies and headers over their limits and broken framing are refused") {
  Running running(echo, {}, {.max_bytes = 1000});
  CHECK(fetch({.method = "POST", .url = running.url("/"), .body = std::string(1001, 'x')}).status ==
        413);
  CHECK(fetch({.method = "POST", .url = running.url("/"), .body = std::string(1000, 'x')}).status ==
        200);
  const auto answer_to = [&](const std::string& text) {
    const Raw raw(running);
    raw.say(text);
    return raw.hear("\r\n").substr(0, 12);
  };
  CHECK(answer_to("GET / HTTP/1.1\r\nX: " + std::string(100'000, 'y') + "\r\n\r\n") ==
        "HTTP/1.1 431");
  CHECK(answer_to("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" +
                  std::string(2000, 'x') + "\r\n0\r\n\r\n") == "HTTP/1.1 413");
  CHECK(answer_to("nonsense\r\n\r\n") == "HTTP/1.1 400");
  CHECK(answer_to("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n") == "HTTP/1.1 400");
  CHECK(answer_to("POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n") ==
        "HTTP/1.1 400");
}

TEST_CASE("a client too slow with its headers, its body or its reading is cut off") {
  std::atomic<bool> cut = false;
  Running running(
      [&cut](Exchange& exchange) {
        if (exchange.request().path != "/stream") return echo(exchange);
        exchange.start_stream({});
        try {
          for (;;) exchange.write(std::string(100'000, 's'));
        } catch (const Error&) {
          cut = true;
        }
      },
      {.header_timeout = 100ms, .body_timeout = 100ms, .write_timeout = 200ms});
  const Raw headers(running), body(running), stream(running);
  headers.say("GET / HT");
  body.say("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab");
  CHECK(headers.hear().empty());
  CHECK(body.hear().empty());
  stream.say("GET /stream HTTP/1.1\r\n\r\n");
  for (int i = 0; i < 2000 && !cut; ++i) std::this_thread::sleep_for(10ms);
  REQUIRE(cut);
  const std::string rest = stream.hear();
  CHECK(rest.size() < 50'000'000);
  CHECK(rest.find("\r\n0\r\n\r\n") == std::string::npos);
}

TEST_CASE("a handler that throws gives 500, too many at once give 503") {
  std::atomic<bool> waits = false;
  Running running(
      [&waits](Exchange& exchange) {
        if (exchange.request().path == "/throw") throw std::runtime_error("oops");
        waits = true;
        while (!exchange.gone().stop_requested()) std::this_thread::sleep_for(5ms);
        exchange.respond({});
      },
      {.max_handlers = 1});
  CHECK(fetch({.url = running.url("/throw")}).status == 500);
  // The handler that threw may still hold its place for a moment after its answer.
  std::vector<std::unique_ptr<Raw>> busy;
  for (int i = 0; i < 1000 && !waits; ++i) {
    if (i % 100 == 0) {
      busy.push_back(std::make_unique<Raw>(running));
      busy.back()->say("GET /wait HTTP/1.1\r\n\r\n");
    }
    std::this_thread::sleep_for(10ms);
  }
  REQUIRE(waits);
  CHECK(fetch({.url = running.url("/wait"), .total_timeout = 30s}).status == 503);
}

TEST_CASE("one connection too many is told so, and there is room again when another ends") {
  Running running(echo, {.max_connections = 2});
  const auto ask = [](const Raw& raw) {
    raw.say("GET / HTTP/1.1\r\n\r\n");
    return raw.hear("GET /").substr(0, 12);
  };
  const Raw first(running);
  CHECK(ask(first) == "HTTP/1.1 200");
  {
    const Raw second(running);
    CHECK(ask(second) == "HTTP/1.1 200");
    const std::string refused = Raw(running).hear();
    CHECK(refused.starts_with("HTTP/1.1 503"));
    const size_t body = refused.find("\r\n\r\n") + 4;
    CHECK(refused.substr(body) == "{\"error\":\"server busy: too many open connections\"}\n");
    CHECK(refused.find(fmt::format("Content-Length: {}\r\n", refused.size() - body)) !=
          std::string::npos);
    CHECK(ask(first) == "HTTP/1.1 200");
  }
  bool again = false;
  for (int i = 0; i < 2000 && !again; ++i) {
    again = ask(Raw(running)) == "HTTP/1.1 200";
    if (!again) std::this_thread::sleep_for(10ms);
  }
  CHECK(again);
}

TEST_CASE("an address in use and one that is none are clear errors") {
  Running running(echo);
  const auto bind = [](std::string host, uint16_t port) {
    Server server(
        {.host = std::move(host), .port = port}, [](const Request&) { return BodyRule{}; }, echo);
  };
  CHECK_THROWS_WITH(
      bind("127.0.0.1", running.server.port()),
      fmt::format("listen tcp 127.0.0.1:{}: bind: address already in use", running.server.port())
          .c_str());
  CHECK_THROWS_AS(bind("no.such.host.invalid", 0), Error);
}

TEST_CASE("stop cuts running streams and waiting handlers, and run returns") {
  auto running = std::make_unique<Running>([](Exchange& exchange) {
    exchange.start_stream({});
    exchange.write("first\n");
    for (int i = 0; i < 12'000 && !exchange.gone().stop_requested(); ++i)
      std::this_thread::sleep_for(5ms);
  });
  const Raw raw(*running), idle(*running);
  raw.say("GET / HTTP/1.1\r\n\r\n");
  raw.hear("first");
  const auto start = std::chrono::steady_clock::now();
  running.reset();
  CHECK(std::chrono::steady_clock::now() - start < 30s);  // of the handler's 60
}

TEST_CASE("no server, a stop request and an unreadable scheme are errors of the client") {
  uint16_t port = 0;
  {
    Running running(echo);
    port = running.server.port();
  }
  try {
    fetch({.url = fmt::format("http://127.0.0.1:{}/", port)});
    FAIL("connected to nobody");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kUpstream);
  }
  CHECK_THROWS_AS(fetch({.url = "file:///etc/hostname"}), Error);
  Running running([](Exchange& exchange) {
    while (!exchange.gone().stop_requested()) std::this_thread::sleep_for(5ms);
  });
  std::stop_source source;
  std::thread stopper([&] {
    std::this_thread::sleep_for(100ms);
    source.request_stop();
  });
  try {
    fetch({.url = running.url("/"), .stop = source.get_token(), .total_timeout = 30s});
    FAIL("was not stopped");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kCancelled);
  }
  stopper.join();
}

TEST_CASE("a status of 400 or more comes with its body, also from streaming calls") {
  Running running([](Exchange& e) { e.respond({.status = 404, .body = "{\"error\":\"no\"}"}); });
  int lines = 0;
  const auto response = fetch_lines(json_request("POST", running.url("/"), {{"a", 1}}),
                                    [&](std::string_view) { return ++lines > 0; });
  CHECK(response.status == 404);
  CHECK(response.body == "{\"error\":\"no\"}");
  CHECK(lines == 0);
}

TEST_CASE("escapes in paths") {
  CHECK(percent_decode("a%2Fb%20c") == "a/b c");
  CHECK(percent_decode("%") == "%");
  CHECK(percent_decode("%4") == "%4");
  CHECK(percent_decode("%zz") == "%zz");
}

TEST_CASE("fields of a query") {
  const std::string_view query = "a=1&&b=x%26y+z&a=2&empty=&bare&%63=%3D=";
  CHECK(query_value(query, "a") == "1");
  CHECK(query_value(query, "b") == "x&y z");
  CHECK(query_value(query, "empty") == "");
  CHECK(query_value(query, "bare") == "");
  CHECK(query_value(query, "c") == "==");
  CHECK_FALSE(query_value(query, "y"));
  CHECK_FALSE(query_value("", "a"));
  CHECK_FALSE(query_value("&", "a"));
}

}  // namespace
}  // namespace cria::http
