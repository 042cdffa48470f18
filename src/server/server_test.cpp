#include "base/error.h"
#include "server/access.h"
#include "server/address.h"
#include "server/ollama.h"

#include <doctest/doctest.h>

namespace cria::server {
namespace {

int verdict(const Access& access, std::string method, std::string host, std::string origin = {}) {
  http::Headers headers = {{"Host", std::move(host)}};
  if (!origin.empty()) headers.push_back({"Origin", std::move(origin)});
  return access.check(method, headers).refuse_with;
}

TEST_CASE("a foreign Host is refused on a loopback server only") {
  const Access loopback("", true, {"box", "203.0.113.9"}), open("", false, {});
  for (const char* host :
       {"", "localhost", "localhost:11434", "127.0.0.1:1", "[::1]:1", "a.local", "b.internal",
        "c.localhost", "192.168.1.5", "10.0.0.1:80", "BOX:1", "203.0.113.9", "0.0.0.0"})
    CHECK_MESSAGE(verdict(loopback, "GET", host) == 0, host);
  for (const char* host : {"evil.com", "8.8.8.8", "localhost.evil.com", "[2001:db8::1]:1"}) {
    CHECK_MESSAGE(verdict(loopback, "GET", host) == 403, host);
    CHECK(verdict(open, "GET", host) == 0);
  }
}

TEST_CASE("origins: own and local ones pass, others only when they are listed") {
  const Access access("https://good.example, chrome-extension://*", true, {});
  for (const char* origin : {"http://localhost", "https://localhost:3000", "http://127.0.0.1:5",
                             "app://x", "https://good.example", "chrome-extension://abc"})
    CHECK_MESSAGE(verdict(access, "GET", "localhost", origin) == 0, origin);
  for (const char* origin : {"https://evil.example", "null", "https://good.example.evil.com",
                             "http://localhost.evil.com", "moz-extension://x"})
    CHECK_MESSAGE(verdict(access, "POST", "localhost", origin) == 403, origin);
  CHECK(verdict(access, "OPTIONS", "localhost", "https://good.example") == 204);
  CHECK(verdict(access, "GET", "localhost:99", "http://localhost:99") == 0);
  CHECK(verdict(Access("*", true, {}), "GET", "localhost", "https://any.example") == 0);
  CHECK_THROWS_AS(Access("good.example", true, {}), Error);
  CHECK_THROWS_AS(Access("http://*.a.*", true, {}), Error);
}

TEST_CASE("OLLAMA_HOST in its forms") {
  const auto text = [](std::string_view value) {
    const Address address = parse_address(value);
    return address.host + "|" + std::to_string(address.port);
  };
  CHECK(text("") == "127.0.0.1|11434");
  CHECK(text("1.2.3.4") == "1.2.3.4|11434");
  CHECK(text(":1234") == "|1234");
  CHECK(text("example.com:1234") == "example.com|1234");
  CHECK(text("[::1]") == "::1|11434");
  CHECK(text("::1") == "::1|11434");
  CHECK(text("[::1]:1337") == "::1|1337");
  CHECK(text("http://1.2.3.4") == "1.2.3.4|80");
  CHECK(text("https://1.2.3.4/x") == "1.2.3.4|443");
  CHECK(text(":66000") == "|11434");
  CHECK(text(":0") == "|0");
}

TEST_CASE("answers have the fields and the order that clients know") {
  Answer answer = {.shape = Shape::kChat,
                   .model = "m",
                   .created_at = api::WallTime(std::chrono::nanoseconds(1'500'000'000)),
                   .content = "Hel"};
  CHECK(
      dump_json(render(answer)) ==
      R"({"model":"m","created_at":"1970-01-01T00:00:01.5Z","message":{"role":"assistant","content":"Hel"},"done":false})");
  answer.shape = Shape::kGenerate;
  answer.thinking = "hm";
  CHECK(
      dump_json(render(answer)) ==
      R"({"model":"m","created_at":"1970-01-01T00:00:01.5Z","response":"Hel","thinking":"hm","done":false})");
  const protocol::Done done = {.reason = "stop",
                               .prompt_tokens = 7,
                               .generated_tokens = 3,
                               .prompt_ns = 12,
                               .generate_ns = 30,
                               .context = {1, 2}};
  answer = {.shape = Shape::kGenerate,
            .model = "m",
            .created_at = api::WallTime(),
            .done_reason = "stop",
            .done = true};
  CHECK(
      dump_json(
          render(answer, done, {.total = api::Nanoseconds(9), .load = api::Nanoseconds(0)})) ==
      R"({"model":"m","created_at":"1970-01-01T00:00:00Z","response":"","done":true,"done_reason":"stop","context":[1,2],"total_duration":9,"prompt_eval_count":7,"prompt_eval_duration":12,"eval_count":3,"eval_duration":30})");
}

}  // namespace
}  // namespace cria::server
