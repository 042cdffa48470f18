// The OpenAI and Anthropic requests as native ones.
#include "api/anthropic.h"
#include "api/fields.h"
#include "api/openai.h"
#include "api/openai_responses.h"
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

// A request of these fields beside a model and one question.
OpenAiChat chat(const std::string& rest) {
  return parse_openai_chat(
      parse_body(R"({"model":"m","messages":[{"role":"user","content":"hi"}])" + rest + "}"));
}

OpenAiChat with_messages(const std::string& messages) {
  return parse_openai_chat(parse_body(R"({"model":"m","messages":)" + messages + "}"));
}

constexpr const char* kTools = R"(,"tools":[
  {"type":"function","function":{"name":"f","parameters":{"type":"object",
    "properties":{"x":{"type":"integer","minimum":3}}}}},
  {"type":"function","function":{"name":"g"}}])";

TEST_CASE("chat completions: options under their native names, with the dialect's defaults") {
  CHECK(chat("").options.dump() == R"({"temperature":1.0,"top_p":1.0})");
  CHECK_FALSE(chat("").stream);
  const Json options = chat(R"(,"max_tokens":5,"max_completion_tokens":7,"temperature":0.5,"seed":9,
    "presence_penalty":1,"stop":"x","options":{"num_ctx":99,"temperature":2,"top_k":3}})")
                           .options;
  CHECK(options["num_predict"] == 7);
  CHECK(options["temperature"] == 0.5);
  CHECK(options["seed"] == 9);
  CHECK(options["presence_penalty"] == 1);
  CHECK(options["stop"] == Json::array({"x"}));
  CHECK(options["num_ctx"] == 99);
  CHECK(options["top_k"] == 3);
  CHECK(chat(R"(,"num_ctx":77,"options":{"num_ctx":99}})").options["num_ctx"] == 77);
  CHECK_THROWS_WITH_AS(chat(R"(,"num_ctx":"many"})"), doctest::Contains("num_ctx"), Error);
  CHECK(chat(R"(,"stop":["a","b"]})").options["stop"] == Json::array({"a", "b"}));
  CHECK(chat(R"(,"stop":[5,"b",null]})").options["stop"] == Json::array({"b"}));
  CHECK(chat(R"(,"stop":[5]})").options["stop"] == Json::array());
  CHECK_THROWS_AS(chat(R"(,"stop":5})"), Error);
  CHECK(chat(R"(,"options":{"temperature":2}})").options["temperature"] == 2);
}

TEST_CASE("all of them can refuse that something is cut, as natively") {
  const auto refuses = [](const Inference& request) { return !request.truncate && !request.shift; };
  const std::string_view both = R"(,"truncate":false,"shift":false)";
  const auto body = [&](std::string_view rest) {
    return parse_body(fmt::format(R"({{"model":"m","max_tokens":1,"input":"x","messages":[{{
          "role":"user","content":"x"}}]{}}})",
                                  rest));
  };
  CHECK(refuses(parse_openai_chat(body(both))));
  CHECK(refuses(parse_openai_completion(body(both))));
  CHECK(refuses(parse_openai_responses(body(both))));
  CHECK(refuses(parse_anthropic_messages(body(both))));
  const OpenAiChat plain = parse_openai_chat(body(""));
  CHECK(plain.truncate);
  CHECK(plain.shift);
}

TEST_CASE("chat completions: parts are one message, calls and their results find each other") {
  const OpenAiChat request = with_messages(R"([
    {"role":"developer","content":[{"type":"text","text":"a"},{"type":"text","text":"b"},
      {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},
      {"type":"image_url","image_url":"data:;base64,BBBB"}]},
    {"role":"assistant","content":null,"reasoning":"hm","tool_calls":[
      {"id":"c1","type":"function","function":{"name":"f","arguments":"{\"z\":1,\"a\":2}"}},
      {"id":"c2","type":"function","function":{"name":"g","arguments":""}}]},
    {"role":"tool","tool_call_id":"c2","content":"done"}])");
  CHECK(request.messages[0].dump() ==
        R"({"role":"developer","content":"a\n\nb","images":["AAAA","BBBB"]})");
  CHECK(
      request.messages[1].dump() ==
      R"({"role":"assistant","content":"","thinking":"hm","tool_calls":[{"id":"c1","function":{"index":0,"name":"f","arguments":{"z":1,"a":2}}},{"id":"c2","function":{"index":1,"name":"g","arguments":{}}}]})");
  CHECK(request.messages[2].dump() ==
        R"({"role":"tool","content":"done","tool_call_id":"c2","tool_name":"g"})");
  CHECK_THROWS_AS(with_messages(R"([{"role":"user","content":5}])"), Error);
  CHECK_THROWS_AS(with_messages(R"([{"content":"x"}])"), Error);
  CHECK_THROWS_AS(with_messages(R"([[]])"), Error);
}

TEST_CASE("a choice of tools becomes a format, and the model sees the keys that templates know") {
  const OpenAiChat free = chat(kTools);
  CHECK(free.tools.size() == 2);
  CHECK(free.tools[0]["function"]["parameters"]["properties"].dump() ==
        R"({"x":{"type":"integer"}})");
  CHECK(free.format.is_null());
  CHECK(chat(std::string(kTools) + R"(,"tool_choice":"none")").tools.empty());
  const OpenAiChat named =
      chat(std::string(kTools) + R"(,"tool_choice":{"type":"function","function":{"name":"f"}})");
  CHECK(named.forced_call);
  CHECK(
      named.format.dump() ==
      R"({"type":"object","properties":{"name":{"const":"f"},"arguments":{"type":"object","properties":{"x":{"type":"integer","minimum":3}}}},"required":["name","arguments"],"additionalProperties":false})");
  const OpenAiChat any = chat(std::string(kTools) + R"(,"tool_choice":"required")");
  REQUIRE(any.format["anyOf"].size() == 2);
  CHECK(any.format["anyOf"][1]["properties"]["name"]["const"] == "g");
  CHECK(any.format["anyOf"][1]["properties"]["arguments"].dump() == R"({"type":"object"})");
  const auto allowed = [](const char* mode, const char* name) {
    return chat(std::string(kTools) +
                R"(,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":")" + mode +
                R"(","tools":[{"type":"function","function":{"name":")" + name + R"("}}]}})");
  };
  CHECK(allowed("auto", "f").tools.size() == 1);
  CHECK(allowed("auto", "f").format.is_null());
  CHECK(allowed("required", "f").format == named.format);
  CHECK(message_of([&] { allowed("auto", "x"); }) ==
        "tool_choice allows \"x\", which is none of the tools");
  CHECK(message_of([&] { allowed("any", "f"); }) ==
        "the mode of the allowed tools is \"any\", but must be auto or required");
  CHECK(message_of([] { chat(R"(,"tool_choice":"required")"); }) ==
        "tool_choice asks for a call, but there are no tools");
  CHECK(message_of([] {
          chat(std::string(kTools) +
               R"(,"tool_choice":"required","response_format":{"type":"json_object"})");
        }).starts_with("tool_choice asks for a call, so"));
}

TEST_CASE("response formats and efforts") {
  CHECK(chat(R"(,"response_format":{"type":"text"})").format.is_null());
  CHECK(chat(R"(,"response_format":{"type":"json_object"})").format == "json");
  CHECK(
      chat(
          R"(,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"a":1}}})")
          .format.dump() == R"({"a":1})");
  CHECK(chat(R"(,"reasoning_effort":"minimal")").think == "low");
  CHECK(chat(R"(,"reasoning_effort":"none")").think == false);
  CHECK(chat(R"(,"reasoning_effort":"low","reasoning":{"effort":"xhigh"})").think == "max");
  CHECK(chat("").think.is_null());
}

TEST_CASE("what cannot be honoured is refused, unless it asks for nothing") {
  for (const char* nothing : {R"(,"logit_bias":{})", R"(,"logit_bias":null)", R"(,"functions":[])"})
    CHECK(message_of([&] { chat(nothing); }) == "nothing was thrown");
  for (const char* nothing : {R"(,"logit_bias":{})", R"(,"logit_bias":null)"})
    CHECK_FALSE(chat(nothing).options.contains("logit_bias"));
  CHECK(chat(R"(,"logit_bias":{"1":-100,"0":2.5})").options["logit_bias"].dump() ==
        R"({"1":-100,"0":2.5})");
  const auto refused = [](const char* bias) {
    return message_of([&] { chat(fmt::format(R"(,"logit_bias":{})", bias)); });
  };
  CHECK(refused("[1]") == "logit_bias must be an object of token ids and numbers from -100 to 100");
  for (const char* id : {"-1", "x", "1x", "2147483648", " 1", ""})
    CHECK(refused(fmt::format(R"({{"{}":1}})", id).c_str()) ==
          fmt::format("logit_bias: \"{}\" is no token id", id));
  for (const char* value : {"101", "-100.5", "true", "\"1\"", "null"})
    CHECK(refused(fmt::format(R"({{"7":{}}})", value).c_str()) ==
          fmt::format("logit_bias: that of token 7 is {}, but must be a number from -100 to 100",
                      value));
  CHECK(refused("7").starts_with("logit_bias must be an object"));
  CHECK(message_of([] { chat(R"(,"functions":[{"name":"f"}])"); }) ==
        "functions is not supported; use tools");
  CHECK(message_of([] { chat(R"(,"best_of":2)"); }) == "best_of is not supported; leave it out");
  CHECK(message_of([] { chat(R"(,"n":2,"best_of":2)"); }) == "nothing was thrown");
  CHECK(message_of([] { chat(R"(,"max_tokens":-2)"); }).starts_with("max_tokens is -2, but must"));
  CHECK(message_of([] { image_of_url("data:image/gif;base64,AAAA"); }) == "invalid image input");
  CHECK_THROWS_AS(image_of_url("data:image/png;base64,%%%%"), Error);
  CHECK_THROWS_AS(arguments_of_text("[1]"), Error);
}

TEST_CASE("text completions") {
  const auto parsed = [](const std::string& rest) {
    return parse_openai_completion(parse_body(R"({"model":"m")" + rest + "}"));
  };
  CHECK(parsed(R"(,"prompt":["one"])").prompt == "one");
  CHECK(parsed(R"(,"prompt":"p","logprobs":0)").logprobs);
  CHECK_FALSE(parsed(R"(,"prompt":"p")").logprobs);
  CHECK(parsed(R"(,"prompt":"p","n":2,"echo":true)").count == 2);
  for (const char* bad : {R"(,"prompt":["a","b"])", R"(,"prompt":[1])", R"(,"prompt":{})",
                          R"(,"best_of":2)", R"(,"logprobs":-1)", R"(,"logprobs":true)"})
    CHECK_THROWS_AS(parsed(bad), Error);
}

TEST_CASE("responses: items join the message that they belong to") {
  const OpenAiResponses request = parse_openai_responses(parse_body(R"({"model":"m",
    "instructions":"sys","input":[
    {"role":"user","content":[{"type":"input_text","text":"q"},
      {"type":"input_image","image_url":"data:image/png;base64,AAAA"}]},
    {"type":"reasoning","encrypted_content":"hm","summary":[]},
    {"type":"function_call","call_id":"c1","name":"f","arguments":"{\"x\":1}"},
    {"type":"function_call","call_id":"c2","name":"g","arguments":"{}"},
    {"type":"message","role":"assistant","content":[{"type":"output_text","text":"wait"}]},
    {"type":"function_call_output","call_id":"c1","output":"one"},
    {"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"two"}]},
    {"type":"reasoning","summary":[{"type":"summary_text","text":"so"}]},
    {"role":"assistant","content":"answer"}]})"));
  CHECK(
      request.messages.dump() ==
      R"([{"role":"system","content":"sys"},{"role":"user","content":"q","images":["AAAA"]},)"
      R"({"role":"assistant","content":"wait","thinking":"hm","tool_calls":[{"id":"c1","function":{"index":0,"name":"f","arguments":{"x":1}}},{"id":"c2","function":{"index":1,"name":"g","arguments":{}}}]},)"
      R"({"role":"tool","content":"one","tool_name":"f","tool_call_id":"c1"},)"
      R"({"role":"tool","content":"two","tool_name":"g","tool_call_id":"c2"},)"
      R"({"role":"assistant","content":"answer","thinking":"so"}])");
  CHECK(request.options.dump() == R"({"temperature":1.0})");
  CHECK(request.echo["instructions"] == "sys");
}

TEST_CASE("responses: tools are flat or in namespaces") {
  const auto parsed = [](const std::string& rest) {
    return parse_openai_responses(parse_body(R"({"model":"m","input":"q")" + rest + "}"));
  };
  const OpenAiResponses request = parsed(R"(,"tools":[{"type":"function","name":"f",
    "parameters":{"type":"object"}},{"type":"namespace","name":"n","tools":[
    {"type":"function","name":"g"}]}],"tool_choice":{"type":"function","name":"n.g"})");
  CHECK(request.tools[0]["function"]["name"] == "f");
  CHECK(request.tools[1]["function"]["name"] == "n.g");
  CHECK(request.format["properties"]["name"]["const"] == "n.g");
  CHECK(request.echo["tools"][1]["type"] == "namespace");
  CHECK_FALSE(parsed(R"(,"truncation":"disabled")").truncate);
  CHECK(parsed(R"(,"text":{"format":{"type":"json_object"}})").format == "json");
  for (const char* bad : {R"(,"tools":[{"type":"mcp"}])", R"(,"tools":[{"type":"function"}])",
                          R"(,"background":true)", R"(,"tool_choice":"f")",
                          R"(,"conversation":{"id":"c"})", R"(,"tools":[5])"})
    CHECK_THROWS_AS(parsed(bad), Error);
}

AnthropicMessages anthropic(const std::string& rest, const std::string& messages) {
  return parse_anthropic_messages(
      parse_body(R"({"model":"m","max_tokens":5,"messages":)" + messages + rest + "}"));
}

constexpr const char* kHi = R"([{"role":"user","content":"hi"}])";

TEST_CASE("messages: a turn's results of tools come before what else it says") {
  const AnthropicMessages request = anthropic(R"(,"system":[{"type":"text","text":"a"},
    {"type":"text","text":"b"}])",
                                              R"([
    {"role":"user","content":[{"type":"text","text":"x"},{"type":"text","text":"y"},
      {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]},
    {"role":"assistant","content":[{"type":"redacted_thinking","data":"?"},
      {"type":"thinking","thinking":"hm","signature":""},
      {"type":"tool_use","id":"t1","name":"f","input":{"z":1,"a":2}}]},
    {"role":"user","content":[{"type":"text","text":"also"},
      {"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"14"}]}]},
    {"role":"user","content":[{"type":"tool_result","tool_use_id":"t9"}]}])");
  CHECK(
      request.messages.dump() ==
      R"([{"role":"system","content":"ab"},{"role":"user","content":"xy","images":["AAAA"]},)"
      R"({"role":"assistant","content":"","thinking":"hm","tool_calls":[{"id":"t1","function":{"index":0,"name":"f","arguments":{"z":1,"a":2}}}]},)"
      R"({"role":"tool","content":"14","tool_name":"f","tool_call_id":"t1"},{"role":"user","content":"also"},)"
      R"({"role":"tool","content":"","tool_call_id":"t9"}])");
  CHECK(request.options.dump() == R"({"num_predict":5})");
}

TEST_CASE("messages: options, thinking, tools and their choice") {
  const AnthropicMessages request = anthropic(
      R"(,"temperature":0.5,"top_k":4,"stop_sequences":["x"],"thinking":{"type":"adaptive"},
      "output_config":{"effort":"xhigh","format":{"type":"json_schema","schema":{"a":1}}},
      "tools":[{"name":"f","input_schema":{"type":"object"}}])",
      kHi);
  CHECK(request.options.dump() == R"({"temperature":0.5,"top_k":4,"stop":["x"],"num_predict":5})");
  CHECK(request.stop_sequences == std::vector<std::string>{"x"});
  CHECK(request.think == "high");
  CHECK(request.format.dump() == R"({"a":1})");
  CHECK(request.tools.dump() ==
        R"([{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}])");
  CHECK(
      anthropic(R"(,"thinking":{"type":"disabled"},"output_config":{"effort":"low"})", kHi).think ==
      false);
  const AnthropicMessages forced = anthropic(
      R"(,"tools":[{"name":"f"}],"tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true})",
      kHi);
  CHECK(forced.forced_call);
  CHECK(forced.single_call);
  CHECK(message_of([] { parse_anthropic_messages(parse_body(R"({"model":"m"})")); }) ==
        "messages is required");
  CHECK(message_of([] {
          parse_anthropic_messages(
              parse_body(R"({"model":"m","messages":[{"role":"user","content":"x"}]})"));
        }) == "max_tokens is required and must be positive");
  CHECK(parse_anthropic_count(
            parse_body(R"({"model":"m","messages":[{"role":"user","content":"x"}]})"))
            .messages.size() == 1);
}

}  // namespace
}  // namespace cria::api
