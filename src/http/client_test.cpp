// What transfers with registries need of the client: ranges, limits, who may be connected to.
#include "http/client.h"
#include "base/error.h"
#include "http/proxy.h"
#include "http/server_for_tests.h"
#include "http/url.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <set>

namespace cria::http {
namespace {

using namespace std::chrono_literals;

TEST_CASE("addresses are told apart by how far they reach, also inside IPv6") {
  const auto kind = [](const char* text) { return kind_text(address_kind(std::string(text))); };
  for (const char* const text :
       {"127.0.0.1", "127.255.0.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"})
    CHECK(kind(text) == "loopback");
  for (const char* const text : {"169.254.169.254", "fe80::1", "64:ff9b::a9fe:a9fe"})
    CHECK(kind(text) == "link-local");
  for (const char* const text :
       {"10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fd00::1",
        "::ffff:10.0.0.1", "2002:a00:1::1", "255.255.255.255", "224.0.0.1"})
    CHECK(kind(text) == "private");
  for (const char* const text :
       {"8.8.8.8", "172.32.0.1", "172.15.0.1", "100.128.0.1", "2606:4700::1111", "none"})
    CHECK(kind(text) == "public");
}

TEST_CASE("a URL is split, resolved against another, and refused when it is no http") {
  const Url url = Url::parse("https://Registry.Example/v2/a/b?x=1#part");
  CHECK(url.host == "registry.example");
  CHECK(url.port == "443");
  CHECK(url.text == "https://Registry.Example/v2/a/b?x=1");
  CHECK(url.same_origin(Url::parse("https://registry.example:443/other")));
  CHECK_FALSE(url.same_origin(Url::parse("http://registry.example:443/")));
  CHECK_FALSE(url.same_origin(Url::parse("https://registry.example.evil/")));
  CHECK(url.resolve("/v2/c?d").text == "https://Registry.Example/v2/c?d");
  CHECK(url.resolve("//other/x").text == "https://other/x");
  CHECK(url.resolve("http://127.0.0.1:5/x").authority() == "127.0.0.1:5");
  for (const char* const bad :
       {"", "ftp://a/b", "file:///etc/passwd", "https://", "https://u:p@host/", "no scheme"})
    CHECK_THROWS_AS(Url::parse(bad), Error);
  CHECK_THROWS_AS(Url::parse("http://h/" + std::string(20'000, 'x')), Error);
  CHECK_THROWS_AS(url.resolve("gopher://x/"), Error);
  CHECK(percent_encode("repository:a/b:pull x") == "repository%3Aa%2Fb%3Apull%20x");
}

struct Variable {
  const char* name;
  Variable(const char* n, const char* value) : name(n) { ::setenv(n, value, 1); }
  ~Variable() { ::unsetenv(name); }
};

TEST_CASE("the proxy is chosen by scheme, and NO_PROXY excepts hosts, domains and ranges") {
  const Variable http("HTTP_PROXY", "http://p:1"), https("https_proxy", "http://p:2");
  const Variable except("NO_PROXY", "example.com, .inner,10.0.0.0/8, host.b:8080,[::1]:5,fd00::/8");
  const auto proxy = [](const char* url) { return proxy_for(Url::parse(url)); };
  CHECK(proxy("http://other.org/") == "http://p:1");
  CHECK(proxy("https://other.org/") == "http://p:2");
  for (const char* const direct :
       {"https://example.com/", "https://a.EXAMPLE.com:99/", "http://x.inner/", "http://10.9.8.7/",
        "http://host.b:8080/", "http://[fd12::1]/", "http://localhost:80/", "http://127.0.0.1/"})
    CHECK(proxy(direct).empty());
  for (const char* const through :
       {"https://badexample.com/", "http://inner/", "http://11.0.0.1/", "http://host.b/"})
    CHECK_FALSE(proxy(through).empty());
  const Variable all("NO_PROXY", "*");
  CHECK(proxy("https://other.org/").empty());
}

TEST_CASE("a request goes through the proxy, whose own address is not asked about") {
  Running proxy([](Exchange& e) { e.respond({.body = "by proxy: " + e.request().path}); });
  const Variable http("HTTP_PROXY", ("http://" + proxy.server.address()).c_str());
  const ClientResponse response = fetch(
      {.url = "http://no.such.host.invalid/x", .may_connect = [](AddressKind) { return false; }});
  CHECK(response.body.find("by proxy: ") == 0);
  CHECK(response.peer == AddressKind::kPublic);
}

TEST_CASE("a connection is made only to an address that is allowed") {
  std::atomic<int> requests = 0;
  Running running([&](Exchange& e) {
    ++requests;
    e.respond({.body = "x"});
  });
  std::vector<AddressKind> asked;
  const auto refuse = [&](AddressKind kind) {
    asked.push_back(kind);
    return false;
  };
  try {
    fetch({.url = running.url("/"), .may_connect = refuse});
    FAIL("connected");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kForbidden);
    CHECK(std::string(e.what()).find("its address is loopback") != std::string::npos);
  }
  CHECK(requests == 0);
  CHECK(asked == std::vector{AddressKind::kLoopback});
  CHECK(fetch({.url = running.url("/")}).peer == AddressKind::kLoopback);
}

TEST_CASE("a pool keeps connections open from one request to the next") {
  Running running([](Exchange& e) { e.respond({.body = e.request().client}); });
  Connections connections;
  std::atomic<int> opened = 0;
  const auto count = [&](AddressKind) { return ++opened > 0; };
  for (int i = 0; i < 5; ++i)
    fetch({.url = running.url("/"), .may_connect = count, .connections = &connections});
  CHECK(opened == 1);
}

TEST_CASE("the head comes before the body and can end the transfer") {
  std::atomic<int> written = 0;
  Running running([&](Exchange& e) {
    e.start_stream({.headers = {{"X-Kind", "endless"}}});
    try {
      for (;; ++written) e.write(std::string(100'000, 'x'));
    } catch (const Error&) {
    }
  });
  bool body = false;
  const auto on_head = [](const ClientResponse& head) {
    CHECK(head.status == 200);
    CHECK(*find_header(head.headers, "x-kind") == "endless");
    fail(ErrorKind::kTooLarge, "too much");
  };
  CHECK_THROWS_WITH(fetch_to({.url = running.url("/"), .on_head = on_head},
                             [&](std::string_view) { return body = true; }),
                    "too much");
  CHECK_FALSE(body);
}

TEST_CASE("the body of an error is bounded, and a redirect is not followed") {
  Running running([](Exchange& e) {
    if (e.request().path == "/redirect")
      return e.respond({.status = 307, .body = "there", .headers = {{"Location", "/other"}}});
    e.start_stream({.status = 500});
    try {
      for (;;) e.write(std::string(100'000, 'x'));
    } catch (const Error&) {
    }
  });
  CHECK(fetch({.url = running.url("/error")}).body.size() == size_t{1} << 20);
  const ClientResponse redirect = fetch_to({.url = running.url("/redirect")}, [](std::string_view) {
    FAIL("the body of a redirect is none of the resource");
    return false;
  });
  CHECK(redirect.status == 307);
  CHECK(redirect.body == "there");
}

TEST_CASE("a transfer that goes silent is given up after the stall timeout") {
  Running running([](Exchange& e) {
    e.start_stream({});
    e.write("begin");
    for (int i = 0; i < 12'000 && !e.gone().stop_requested(); ++i) std::this_thread::sleep_for(5ms);
  });
  std::string got;
  // A busy machine may need longer than the first for the beginning.
  for (const auto limit : {100ms, 1000ms, 10'000ms}) {
    if (got == "begin") break;
    got.clear();
    try {
      fetch_to({.url = running.url("/"), .stall_timeout = limit}, [&](std::string_view bytes) {
        got += bytes;
        return true;
      });
      FAIL("was not given up");
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kUpstream);
      CHECK(std::string(e.what()).find(fmt::format("not a byte for {} ms", limit.count())) !=
            std::string::npos);
    }
  }
  CHECK(got == "begin");
}

TEST_CASE("a range of a file is uploaded") {
  Running running([](Exchange& e) {
    std::string all(100, '\0');
    const size_t n = e.read_body(std::as_writable_bytes(std::span(all)));
    e.respond({.body = all.substr(0, n)});
  });
  const auto path = std::filesystem::temp_directory_path() / "cria_http_range";
  std::ofstream(path, std::ios::binary) << "0123456789";
  const ClientRequest request = {.method = "PATCH",
                                 .url = running.url("/upload"),
                                 .upload = path,
                                 .upload_offset = 3,
                                 .upload_length = 4};
  CHECK(fetch(request).body == "3456");
  std::filesystem::remove(path);
}

TEST_CASE("endless headers are refused") {
  Headers many;
  for (int i = 0; i < 5000; ++i) many.push_back({fmt::format("X-{}", i), std::string(100, 'v')});
  Running running([&](Exchange& e) { e.respond({.body = "x", .headers = many}); });
  CHECK_THROWS_AS(fetch({.url = running.url("/")}), Error);
}

}  // namespace
}  // namespace cria::http
