#include "api/duration.h"
#include "api/fields.h"
#include "api/ollama.h"
#include "base/error.h"

#include <doctest/doctest.h>

namespace cria::api {
namespace {

std::string message_of(auto&& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

TEST_CASE("durations in Go's syntax, both ways") {
  const std::pair<const char*, const char*> same[] = {
      {"1h30m", "1h30m0s"}, {"90s", "1m30s"}, {"12.5ms", "12.5ms"}, {"3.2us", "3.2µs"},
      {"0", "0s"},          {"-1m", "-1m0s"}, {"1.5h", "1h30m0s"},  {"7ns", "7ns"},
      {"1h2m3s", "1h2m3s"}, {"+5s", "5s"},    {".5s", "500ms"}};
  for (const auto& [text, back] : same) CHECK(format_duration(parse_duration(text)) == back);
  CHECK(message_of([] { parse_duration("300"); }) == "time: missing unit in duration \"300\"");
  CHECK(message_of([] { parse_duration("-1"); }) == "time: missing unit in duration \"-1\"");
  for (const char* bad : {"", "abc", "-", "1..5s", ".s", "s"})
    CHECK(message_of([&] { parse_duration(bad); }) ==
          fmt::format("time: invalid duration \"{}\"", bad));
  CHECK_THROWS_AS(parse_duration("5 parsecs"), Error);
  CHECK(parse_duration("99999999999h") == kForever);
}

TEST_CASE("keep_alive in all its forms") {
  const auto parsed = [](const char* text) {
    const Json json = parse_json(text);
    return parse_keep_alive(&json);
  };
  CHECK_FALSE(parsed("null"));
  CHECK(parsed("2.5") == std::chrono::milliseconds(2500));
  CHECK(parsed("-1") == kForever);
  CHECK(parsed("1e300") == kForever);
  CHECK(parsed("\"10m\"") == std::chrono::minutes(10));
  CHECK(parsed("\"-1m\"") == kForever);
  CHECK(parsed("\"0\"") == Nanoseconds(0));
  CHECK(message_of([&] { parsed("true"); }) == "Unsupported type: 'bool'");
  CHECK_THROWS_AS(parsed("\"300\""), Error);
  CHECK(parse_setting_duration("300") == std::chrono::seconds(300));
  CHECK(parse_setting_duration("-1") == kForever);
  CHECK(parse_setting_duration("1m30s") == std::chrono::seconds(90));
  for (const char* text : {"junk", "", " ", "5x"}) CHECK_FALSE(parse_setting_duration(text));
}

TEST_CASE("a body is its first JSON value, with the texts that clients know") {
  CHECK(parse_body(" {\"a\":\"}\"} trailing")["a"] == "}");
  CHECK(message_of([] { parse_body(" \n"); }) == "missing request body");
  CHECK(message_of([] { parse_body("{\"a\":"); }) == "unexpected EOF");
  CHECK(message_of([] { parse_body("xyz"); }) ==
        "invalid character 'x' looking for beginning of value");
  CHECK_THROWS_AS(parse_body(std::string(100'000, '[')), Error);
  CHECK_THROWS_AS(parse_body("{\"a\":NaN}"), Error);
  CHECK_THROWS_AS(parse_body(std::string(500, '[') + std::string(500, ']')), Error);
}

TEST_CASE("keys match in any case, null is absent, wrong types are named") {
  const auto request = parse_generate(parse_body(
      R"({"MODEL":"a","model":null,"Prompt":"p","stream":false,"context":[1,2],"unknown":1})"));
  CHECK(request.model == "a");
  CHECK(request.prompt == "p");
  CHECK_FALSE(request.stream);
  CHECK(request.context == std::vector<int32_t>{1, 2});
  CHECK(message_of([] { parse_show(parse_body(R"({"model":5})")); }) ==
        "json: cannot unmarshal number into Go struct field ShowRequest.model of type string");
  CHECK(message_of([] { parse_show(parse_body("{}")); }) == "model is required");
  CHECK_THROWS_AS(parse_generate(parse_body("[]")), Error);
  CHECK_THROWS_AS(parse_generate(parse_body(R"({"context":[-1]})")), Error);
  CHECK_THROWS_AS(parse_generate(parse_body(R"({"context":[1e99]})")), Error);
  CHECK_THROWS_AS(parse_generate(parse_body(R"({"images":["%"]})")), Error);
}

TEST_CASE("options are typed, think, format and top_logprobs are checked") {
  const Json options = check_options(parse_json(
      R"({"num_ctx":4096.9,"temperature":1,"stop":["a"],"mirostat":1,"seed":null,"num_keep":-1})"));
  CHECK(options.dump() == R"({"num_ctx":4096,"temperature":1,"stop":["a"],"num_keep":-1})");
  const auto option_error = [](const char* text) {
    return message_of([&] { check_options(parse_json(text)); });
  };
  CHECK(option_error(R"({"temperature":"x"})") == "option \"temperature\" must be of type float32");
  CHECK(option_error(R"({"temperature":1e300})") ==
        "option \"temperature\" must be of type float32");
  CHECK(option_error(R"({"num_ctx":1e300})") == "option \"num_ctx\" must be of type integer");
  CHECK(option_error(R"({"stop":"x"})") == "option \"stop\" must be of type array");
  CHECK(option_error(R"({"stop":[1]})") == "option \"stop\" must be of type an array of strings");
  CHECK(option_error(R"({"use_mmap":1})") == "option \"use_mmap\" must be of type boolean");
  const auto chat = [](const std::string& rest) {
    return message_of([&] { parse_chat(parse_body("{\"model\":\"m\"," + rest + "}")); });
  };
  CHECK(chat(R"("format":"xml")") ==
        R"(invalid format: "\"xml\""; expected "json" or a valid JSON Schema object)");
  CHECK(chat(R"("think":"x")") ==
        R"(invalid think value: "x" (must be "high", "medium", "low", "max", true, or false))");
  CHECK(chat(R"("think":1)").starts_with("think must be a boolean or string"));
  CHECK(chat(R"("top_logprobs":21)") == "top_logprobs must be between 0 and 20");
  CHECK(chat(R"("format":"","think":"low","top_logprobs":20)") == "nothing was thrown");
  CHECK(message_of([] { parse_chat(parse_body("{}")); }) == "model is required");
}

TEST_CASE("messages and tools come out with known keys only, arguments as objects") {
  const auto request = parse_chat(parse_body(R"({"model":"m","messages":[
    {"Role":"USER","content":"hi","extra":1},
    {"role":"assistant","tool_calls":[{"id":"c1","function":{"name":"f","arguments":{"z":1,"a":2}}}]},
    {"role":"tool","tool_name":"f","content":"ok"}],
    "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","title":"x",
      "properties":{"z":{"type":"string","minLength":3},"a":{"type":["string","null"]}}}}}]})"));
  CHECK(
      request.messages.dump() ==
      R"([{"role":"user","content":"hi"},{"role":"assistant","content":"","tool_calls":[{"id":"c1","function":{"index":0,"name":"f","arguments":{"z":1,"a":2}}}]},{"role":"tool","content":"ok","tool_name":"f"}])");
  CHECK(request.tools[0]["function"]["parameters"].dump() ==
        R"({"type":"object","properties":{"z":{"type":"string"},"a":{"type":["string","null"]}}})");
  CHECK_THROWS_AS(
      parse_chat(parse_body(
          R"({"model":"m","messages":[{"tool_calls":[{"function":{"arguments":"{}"}}]}]})")),
      Error);
  CHECK_THROWS_AS(parse_chat(parse_body(R"({"model":"m","messages":"x"})")), Error);
  CHECK_THROWS_AS(parse_chat(parse_body(R"({"model":"m","messages":[5]})")), Error);
}

TEST_CASE("a create request in full") {
  const auto request = parse_create(parse_body(R"({"name":"n","files":{"a.gguf":"sha256:0"},
    "license":"one","parameters":{"stop":["x"]},"messages":[{"role":"user","content":"c"}]})"));
  CHECK(request.model == "n");
  CHECK(request.files.size() == 1);
  CHECK(request.licenses == std::vector<std::string>{"one"});
  CHECK(parse_create(parse_body(R"({"license":["a","b"]})")).licenses.size() == 2);
  CHECK_THROWS_AS(parse_create(parse_body(R"({"license":5})")), Error);
  CHECK_THROWS_AS(parse_create(parse_body(R"({"files":{"a":5}})")), Error);
}

TEST_CASE("times are written with nine fractional digits, trailing zeros cut") {
  CHECK(format_utc(WallTime(std::chrono::nanoseconds(1'028'025'494))) ==
        "1970-01-01T00:00:01.028025494Z");
  CHECK(format_utc(WallTime()) == "1970-01-01T00:00:00Z");
}

}  // namespace
}  // namespace cria::api
