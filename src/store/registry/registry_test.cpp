// A scripted registry: what a real one cannot be made to answer.
#include "store/registry/registry.h"

#include "base/error.h"
#include "http/server_for_tests.h"

#include <doctest/doctest.h>

#include <mutex>

namespace cria::store {
namespace {

using http::Exchange;

ModelName name_at(const http::Running& running, std::string_view rest = "lib/m:1") {
  return ModelName::require(fmt::format("{}/{}", running.server.address(), rest));
}

ErrorKind kind_of(const auto& body, std::string* text = nullptr) {
  try {
    body();
  } catch (const Error& e) {
    if (text != nullptr) *text = e.what();
    return e.kind();
  }
  FAIL("nothing was thrown");
  return ErrorKind::kInternal;
}

TEST_CASE("addresses follow the name, and http must be asked for") {
  const auto name = ModelName::require("reg.example:5000/team/m:1");
  CHECK(Registry(name, {}).url(name, "manifests/1") ==
        "https://reg.example:5000/v2/team/m/manifests/1");
  CHECK(Registry(name, {.insecure = true}).url(name, "x") == "http://reg.example:5000/v2/team/m/x");
  const auto plain = ModelName::require("http://reg.example/team/m");
  CHECK_THROWS_WITH(Registry(plain, {}), "insecure protocol http");
}

TEST_CASE("statuses become the texts that clients know") {
  require_ok({.status = 200});
  CHECK_THROWS_WITH(require_ok({.status = 404}), "file does not exist");
  CHECK_THROWS_WITH(require_ok({.status = 503, .body = "later"}), "503: later");
}

TEST_CASE("redirects are followed, ten at most, and only by follow") {
  http::Running running([](Exchange& e) {
    const int left = std::stoi(e.request().path.substr(1));
    if (left == 0) return e.respond({.body = e.request().method});
    e.respond(
        {.status = 307, .body = "go", .headers = {{"Location", fmt::format("/{}", left - 1)}}});
  });
  const auto name = name_at(running);
  Registry registry(name, {.insecure = true});
  CHECK(registry.follow({.url = running.url("/10")}).body == "GET");
  CHECK(registry.send({.url = running.url("/10")}).status == 307);
  std::string text;
  CHECK(kind_of([&] { registry.follow({.url = running.url("/11")}); }, &text) ==
        ErrorKind::kUpstream);
  CHECK(text.starts_with("maximum redirects exceeded (10)"));
}

TEST_CASE("a redirect to an address of another kind is refused at the connection") {
  std::string target;
  http::Running running([&](Exchange& e) {
    e.respond({.status = 302, .body = "", .headers = {{"Location", target}}});
  });
  const auto name = name_at(running);
  Registry registry(name, {.insecure = true});
  std::string text;
  target = "http://169.254.169.254/latest/meta-data/";
  CHECK(kind_of([&] { registry.follow({.url = running.url("/")}); }, &text) ==
        ErrorKind::kForbidden);
  CHECK(text.find("link-local") != std::string::npos);
  for (const char* const bad : {"file:///etc/passwd", "http://user:secret@host/", "ftp://x/"}) {
    target = bad;
    CHECK(kind_of([&] { registry.follow({.url = running.url("/")}); }) == ErrorKind::kInvalidInput);
  }
}

TEST_CASE("an https registry neither redirects to http nor to this machine") {
  const auto name = ModelName::require("reg.example/team/m");
  Registry registry(name, {});
  CHECK(kind_of([&] { registry.send({.url = "http://other.example/x"}); }) ==
        ErrorKind::kForbidden);
  http::Running running([](Exchange& e) { e.respond({.body = "secret"}); });
  const std::string local = fmt::format("https://{}/", running.server.address());
  CHECK(kind_of([&] { registry.send({.url = local}); }) == ErrorKind::kForbidden);
}

TEST_CASE("a compressed answer is refused, an endless one is cut") {
  http::Running running([](Exchange& e) {
    if (e.request().path == "/gzip")
      return e.respond({.body = "bomb", .headers = {{"Content-Encoding", "gzip"}}});
    e.start_stream({});
    try {
      for (;;) e.write(std::string(100'000, 'x'));
    } catch (const Error&) {
    }
  });
  const auto name = name_at(running);
  Registry registry(name, {.insecure = true});
  CHECK(kind_of([&] { registry.send({.url = running.url("/gzip")}); }) == ErrorKind::kUnsupported);
  CHECK(kind_of([&] { registry.send({.url = running.url("/endless")}); }) == ErrorKind::kTooLarge);
}

}  // namespace
}  // namespace cria::store
