// Runner events as the OpenAI and Anthropic dialects write them.
#include "server/anthropic.h"
#include "server/openai_completion.h"
#include "server/openai_responses.h"
#include "server/wire.h"

#include <doctest/doctest.h>

#include <set>

namespace cria::server {
namespace {

protocol::Text said(std::string content, std::string thinking = {}) {
  return {.content = std::move(content), .thinking = std::move(thinking), .prompt_tokens = 7};
}

protocol::Text called(const char* name) {
  return {.tool_calls = Json::array(
              {{{"id", fmt::format("call_{}", name)},
                {"function", {{"index", 5}, {"name", name}, {"arguments", {{"x", 1}}}}}}})};
}

const protocol::Done kStop = {.reason = "stop", .prompt_tokens = 7, .generated_tokens = 3};
const protocol::Done kLength = {.reason = "length", .prompt_tokens = 7, .generated_tokens = 3};

void append(std::vector<Json>& out, std::vector<Json> more) {
  out.insert(out.end(), more.begin(), more.end());
}

// What clients see of a chunk, without the head that all share.
std::string choice(const Json& chunk) {
  return chunk["choices"].at(0).dump();
}

TEST_CASE("chat chunks: the role once, thinking apart, calls numbered here, a finish of its own") {
  ChatChunks chunks({.id = "i", .created = 5, .model = "m", .include_usage = true});
  std::vector<Json> out = chunks.on_text(said("", "hm"));
  append(out, chunks.on_text(said("hi", "!")));
  append(out, chunks.on_text(called("f")));
  append(out, chunks.on_text(called("g")));
  append(out, chunks.on_done(kStop));
  append(out, chunks.end());
  REQUIRE(out.size() == 7);
  CHECK(
      choice(out[0]) ==
      R"({"index":0,"delta":{"role":"assistant","content":"","reasoning":"hm"},"finish_reason":null})");
  CHECK(choice(out[1]) == R"({"index":0,"delta":{"reasoning":"!"},"finish_reason":null})");
  CHECK(choice(out[2]) == R"({"index":0,"delta":{"content":"hi"},"finish_reason":null})");
  CHECK(
      choice(out[3]) ==
      R"({"index":0,"delta":{"content":"","tool_calls":[{"index":0,"id":"call_f","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},"finish_reason":null})");
  CHECK(out[4]["choices"][0]["delta"]["tool_calls"][0]["index"] == 1);
  CHECK(choice(out[5]) == R"({"index":0,"delta":{},"finish_reason":"tool_calls"})");
  CHECK(
      out[6].dump() ==
      R"({"id":"i","object":"chat.completion.chunk","created":5,"model":"m","system_fingerprint":"fp_ollama","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":0}}})");
}

TEST_CASE(
    "chat chunks: an answer without text still tells its role, and the next one has its index") {
  ChatChunks chunks({.id = "i", .model = "m"});
  const std::vector<Json> first = chunks.on_done(kLength);
  REQUIRE(first.size() == 2);
  CHECK(choice(first[0]) ==
        R"({"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null})");
  CHECK(choice(first[1]) == R"({"index":0,"delta":{},"finish_reason":"length"})");
  chunks.on_choice(1);
  CHECK(choice(chunks.on_text(said("x")).at(0)) ==
        R"({"index":1,"delta":{"role":"assistant","content":"x"},"finish_reason":null})");
  CHECK(chunks.end().empty());
}

TEST_CASE("a chat object collects what chunks tell, for each answer") {
  ChatObject object({.id = "i", .created = 5, .model = "m", .single_call = true});
  object.on_text(said("hi", "hm"));
  object.on_text(called("f"));
  object.on_text(called("g"));  // one too many
  object.on_choice(1);
  object.on_text(said("ho"));
  object.on_choice(0);
  object.on_done(kLength);
  object.on_choice(1);
  object.on_done(kStop);
  const Json out = object.end();
  CHECK(
      out["choices"][0].dump() ==
      R"({"index":0,"message":{"role":"assistant","content":"hi","reasoning":"hm","tool_calls":[{"id":"call_f","type":"function","function":{"name":"f","arguments":"{\"x\":1}"},"index":0}]},"finish_reason":"length"})");
  CHECK(out["choices"][1].dump() ==
        R"({"index":1,"message":{"role":"assistant","content":"ho"},"finish_reason":"stop"})");
  CHECK(out["usage"]["prompt_tokens"] == 7);
  CHECK(out["usage"]["completion_tokens"] == 6);
}

TEST_CASE("log-probabilities have all their fields") {
  const Json given = parse_json(R"([{"token":"ä","logprob":-1,"bytes":[195,164],"top_logprobs":[
    {"token":"ä","logprob":-1},{"token":"b","logprob":-2}]},{"token":"","logprob":-3}])");
  const Json chat = openai_logprobs(given);
  CHECK(chat[0] == given[0]);
  CHECK(chat[1].dump() == R"({"token":"","logprob":-3,"bytes":null,"top_logprobs":[]})");
  CompletionLogprobs lists("né");  // offsets count characters
  CHECK(
      lists.add(given).dump() ==
      R"({"tokens":["ä",""],"token_logprobs":[-1.0,-3.0],"top_logprobs":[{"ä":-1.0,"b":-2.0},{}],"text_offset":[2,3]})");
  CHECK(lists.add(given)["text_offset"].dump() == "[3,4]");
}

TEST_CASE("text completions echo the prompt before each answer") {
  CompletionHead head;
  head.echo = "p:";
  CompletionChunks chunks(head);
  CHECK(chunks.on_text(said("a")).at(0)["choices"].dump() ==
        R"([{"text":"p:a","index":0,"finish_reason":null}])");
  CHECK(chunks.on_text(said("", "thinking")).empty());
  CHECK(chunks.on_done(kStop).at(0)["choices"].dump() ==
        R"([{"text":"","index":0,"finish_reason":"stop"}])");
  chunks.on_choice(1);
  CHECK(chunks.on_done(kStop).at(0)["choices"].dump() ==
        R"([{"text":"p:","index":1,"finish_reason":"stop"}])");
  CompletionObject object(head);
  object.on_choice(1);
  object.on_done(kLength);
  object.on_choice(0);
  object.on_text(said("a"));
  object.on_done(kStop);
  CHECK(
      object.end()["choices"].dump() ==
      R"([{"text":"p:a","index":0,"finish_reason":"stop"},{"text":"p:","index":1,"finish_reason":"length"}])");
}

std::string types(const std::vector<Json>& events) {
  std::string out;
  for (const Json& event : events)
    out += (out.empty() ? "" : " ") + event["type"].get<std::string>();
  return out;
}

TEST_CASE("message events: blocks one after the other, counts at both ends") {
  MessageEvents events({.id = "msg_1", .model = "m"});
  std::vector<Json> out = events.on_text(said("", "hm"));
  append(out, events.on_text(said("hi", "!")));
  append(out, events.on_text(called("f")));
  append(out, events.on_text(said("ho")));
  append(out, events.on_done(kStop));
  CHECK(types(out) ==
        "message_start content_block_start content_block_delta content_block_delta "
        "content_block_stop content_block_start content_block_delta content_block_stop "
        "content_block_start content_block_delta content_block_stop content_block_start "
        "content_block_delta content_block_stop message_delta message_stop");
  CHECK(
      out[0].dump() ==
      R"({"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":0}}})");
  CHECK(
      out[1].dump() ==
      R"({"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}})");
  CHECK(out[6].dump() ==
        R"({"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"hi"}})");
  CHECK(
      out[8].dump() ==
      R"({"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"call_f","name":"f","input":{}}})");
  CHECK(
      out[9].dump() ==
      R"({"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"x\":1}"}})");
  CHECK(out[11]["index"] == 3);
  CHECK(
      out[14].dump() ==
      R"({"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":7,"output_tokens":3}})");
}

TEST_CASE("a message and why it ended") {
  const auto ended = [](const protocol::Done& done) {
    MessageObject message({.id = "i", .model = "m", .stop_sequences = {"x", ""}});
    message.on_text(said("a", "t"));
    message.on_text(said("b"));
    return message.on_done(done);
  };
  const Json message = ended(kStop);
  CHECK(
      message.dump() ==
      R"({"id":"i","type":"message","role":"assistant","model":"m","content":[{"type":"thinking","thinking":"t","signature":""},{"type":"text","text":"ab"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":3}})");
  CHECK(ended(kLength)["stop_reason"] == "max_tokens");
  protocol::Done stopped = kStop;
  stopped.stop_string = "x";
  CHECK(ended(stopped)["stop_reason"] == "stop_sequence");
  CHECK(ended(stopped)["stop_sequence"] == "x");
  stopped.stop_string = "of the model";
  CHECK(ended(stopped)["stop_reason"] == "end_turn");
  CHECK(MessageObject({}).on_done(kStop)["content"].dump() == "[]");
}

TEST_CASE("response events: items are closed before the next begins, and add up to the object") {
  ResponseEvents events({.model = "m", .echo = {{"tool_choice", "auto"}}});
  std::vector<Json> out = events.on_text(said("", "hm"));
  append(out, events.on_text(said("hi")));
  append(out, events.on_text(called("f")));
  append(out, events.on_text(said("ho")));
  append(out, events.on_done(kLength));
  CHECK(types(out) ==
        "response.created response.in_progress response.output_item.added "
        "response.reasoning_summary_text.delta response.reasoning_summary_text.done "
        "response.output_item.done response.output_item.added response.content_part.added "
        "response.output_text.delta response.output_text.done response.content_part.done "
        "response.output_item.done response.output_item.added "
        "response.function_call_arguments.delta response.function_call_arguments.done "
        "response.output_item.done response.output_item.added response.content_part.added "
        "response.output_text.delta response.output_text.done response.content_part.done "
        "response.output_item.done response.incomplete");
  int64_t number = 0;
  for (const Json& event : out) CHECK(event["sequence_number"] == number++);
  const Json object = events.object();
  CHECK(out.back()["response"] == object);
  REQUIRE(object["output"].size() == 4);
  CHECK(object["output"][0]["encrypted_content"] == "hm");
  CHECK(object["output"][1]["content"][0]["text"] == "hi");
  CHECK(object["output"][2]["arguments"] == R"({"x":1})");
  CHECK(object["output"][3]["status"] == "incomplete");
  CHECK(out[18]["output_index"] == 3);
  CHECK(object["incomplete_details"]["reason"] == "max_output_tokens");
  CHECK(object["usage"]["total_tokens"] == 10);
  CHECK(object["tool_choice"] == "auto");
}

TEST_CASE("a response that fails keeps what was said") {
  ResponseEvents events({.model = "m"});
  events.on_text(said("hi"));
  const std::vector<Json> out = events.on_failure("why");
  const Json& response = out.back()["response"];
  CHECK(out.back()["type"] == "response.failed");
  CHECK(response["status"] == "failed");
  CHECK(response["error"].dump() == R"({"code":"server_error","message":"why"})");
  CHECK(response["output"][0]["content"][0]["text"] == "hi");
}

// A call as the runner tells it while it is written: {"x":1} in three pieces, or only two of them.
std::vector<protocol::Text> pieces_of_call(const char* name, bool whole) {
  std::vector<protocol::Text> out(2);
  out[0].call_pieces.push_back(
      {{"id", fmt::format("call_{}", name)}, {"name", name}, {"arguments", "{"}});
  out[1].call_pieces.push_back({{"arguments", "\"x\":1"}});
  if (whole) {
    out.emplace_back();
    out[2].call_pieces.push_back({{"arguments", "}"}, {"last", true}});
  }
  return out;
}

template <class Events>
std::vector<Json> tell(Events& events, const std::vector<protocol::Text>& texts) {
  std::vector<Json> out;
  for (const protocol::Text& text : texts) append(out, events.on_text(text));
  return out;
}

TEST_CASE("chat chunks: the name first, then the arguments in pieces, under the call's index") {
  ChatChunks chunks({.id = "i", .model = "m"});
  tell(chunks, pieces_of_call("f", false));  // breaks off
  CHECK(chunks.on_done(kStop).back()["choices"][0]["finish_reason"] == "stop");
  chunks.on_choice(1);
  tell(chunks, pieces_of_call("f", true));
  const std::vector<Json> out = tell(chunks, pieces_of_call("g", true));
  REQUIRE(out.size() == 3);
  CHECK(out[0]["choices"][0]["delta"]["tool_calls"].dump() ==
        R"([{"index":1,"id":"call_g","type":"function","function":{"name":"g","arguments":"{"}}])");
  CHECK(out[1]["choices"][0]["delta"]["tool_calls"].dump() ==
        R"([{"index":1,"function":{"arguments":"\"x\":1"}}])");
  CHECK(out[2]["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"] == "}");
  CHECK(chunks.on_done(kStop).back()["choices"][0]["finish_reason"] == "tool_calls");
}

TEST_CASE("chat chunks: one call at most, pieces of others are dropped") {
  ChatChunks chunks({.id = "i", .model = "m", .single_call = true});
  CHECK(tell(chunks, pieces_of_call("f", true)).size() == 3);
  CHECK(tell(chunks, pieces_of_call("g", true)).empty());
  ChatChunks middle({.id = "i", .model = "m"});  // a runner that begins with the end of a call
  protocol::Text end;
  end.call_pieces.push_back({{"arguments", "}"}, {"last", true}});
  CHECK(middle.on_text(end).empty());
}

TEST_CASE("message events: a call's input comes in pieces, and one that breaks off is closed") {
  MessageEvents events({.id = "msg_1", .model = "m"});
  std::vector<Json> out = tell(events, pieces_of_call("f", true));
  append(out, tell(events, pieces_of_call("g", false)));
  append(out, events.on_text(said("rest")));
  append(out, events.on_done(kStop));
  CHECK(types(out) ==
        "message_start content_block_start content_block_delta content_block_delta "
        "content_block_delta content_block_stop content_block_start content_block_delta "
        "content_block_delta content_block_stop content_block_start content_block_delta "
        "content_block_stop message_delta message_stop");
  CHECK(
      out[3].dump() ==
      R"({"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"\"x\":1"}})");
  CHECK(out[6]["content_block"]["name"] == "g");
  CHECK(out[10]["index"] == 2);
  CHECK(out[13]["delta"]["stop_reason"] == "tool_use");
  MessageEvents broken({.id = "msg_1", .model = "m"});
  out = tell(broken, pieces_of_call("g", false));
  append(out, broken.on_done(kLength));
  CHECK(out.back()["type"] == "message_stop");
  CHECK(out[out.size() - 2]["delta"]["stop_reason"] == "max_tokens");
}

TEST_CASE(
    "response events: a call's arguments come in pieces, and one that breaks off is incomplete") {
  ResponseEvents events({.model = "m"});
  std::vector<Json> out = tell(events, pieces_of_call("f", true));
  append(out, tell(events, pieces_of_call("g", false)));
  append(out, events.on_text(said("rest")));
  append(out, events.on_done(kStop));
  CHECK(types(out) ==
        "response.created response.in_progress response.output_item.added "
        "response.function_call_arguments.delta response.function_call_arguments.delta "
        "response.function_call_arguments.delta response.function_call_arguments.done "
        "response.output_item.done response.output_item.added "
        "response.function_call_arguments.delta response.function_call_arguments.delta "
        "response.function_call_arguments.done response.output_item.done "
        "response.output_item.added response.content_part.added response.output_text.delta "
        "response.output_text.done response.content_part.done response.output_item.done "
        "response.completed");
  CHECK(out[2]["item"]["arguments"] == "");
  CHECK(out[2]["item"]["id"] == out[4]["item_id"]);
  CHECK(out[4]["delta"] == R"("x":1)");
  const Json output = events.object()["output"];
  CHECK(output[0]["status"] == "completed");
  CHECK(output[0]["arguments"] == R"({"x":1})");
  CHECK(output[1]["status"] == "incomplete");
  CHECK(output[1]["arguments"] == R"({"x":1)");
  CHECK(output[2]["content"][0]["text"] == "rest");
}

TEST_CASE("what was lost stands where an answer ends, and nowhere when nothing was") {
  protocol::Text first = said("a");
  first.truncated = {.messages = 2, .tokens = 613};
  protocol::Done done = kStop;
  done.truncated = first.truncated;
  done.shifted_tokens = 62;
  const std::string truncated = R"("truncated":{"messages":2,"tokens":613})";
  const std::string both = "{" + truncated + R"(,"shifted":62})", begun = "{" + truncated + "}";
  CHECK(truncated_header(done.truncated) == "messages=2, tokens=613");

  ChatChunks chunks({});
  CHECK_FALSE(chunks.on_text(first).at(0).contains("cria"));
  CHECK(chunks.on_done(done).at(0)["cria"].dump() == both);
  ChatObject object({});
  object.on_done(done);
  object.on_choice(1);
  object.on_done(done);
  CHECK(object.end()["cria"]["shifted"] == 124);
  CHECK(object.end()["cria"]["truncated"]["tokens"] == 613);
  CHECK(CompletionChunks({}).on_done(done).at(0)["cria"].dump() == both);

  MessageEvents messages({});
  CHECK(messages.on_text(first).at(0)["message"]["cria"].dump() == begun);
  const std::vector<Json> end = messages.on_done(done);
  CHECK(end.at(end.size() - 2)["cria"].dump() == both);
  CHECK(MessageObject({}).on_done(done)["cria"].dump() == both);

  ResponseEvents events({});
  CHECK(events.on_text(first).at(0)["response"]["cria"].dump() == begun);
  CHECK(events.on_done(done).back()["response"]["cria"].dump() == both);

  for (const Json& answer :
       {ChatChunks({}).on_done(kStop).back(), MessageObject({}).on_done(kStop),
        CompletionChunks({}).on_done(kStop).back(), ResponseEvents({}).on_done(kStop).back()})
    CHECK(answer.dump().find("cria") == std::string::npos);
}

TEST_CASE("each dialect says an error in its shape, also at the end of a stream") {
  CHECK(dialect_of("/api/chat") == Dialect::kNative);
  CHECK(dialect_of("/v1/models/x") == Dialect::kOpenAi);
  CHECK(dialect_of("/v1/messages/count_tokens") == Dialect::kAnthropic);
  http::Request request{.path = "/v1/models"};
  CHECK(dialect_of(request) == Dialect::kOpenAi);
  request.headers.push_back({.name = "Anthropic-Version", .value = "2023-06-01"});
  CHECK(dialect_of(request) == Dialect::kAnthropic);
  request.path = "/v1/chat/completions";
  CHECK(dialect_of(request) == Dialect::kOpenAi);
  CHECK(error_body(Dialect::kNative, 400, "why").dump() == R"({"error":"why"})");
  const Json openai = error_body(Dialect::kOpenAi, 404, "why");
  CHECK(openai.dump() ==
        R"({"error":{"message":"why","type":"not_found_error","param":null,"code":null}})");
  CHECK(error_body(Dialect::kOpenAi, 500, "")["error"]["type"] == "api_error");
  const std::pair<int, const char*> kinds[] = {
      {400, "invalid_request_error"}, {401, "authentication_error"},
      {403, "permission_error"},      {404, "not_found_error"},
      {413, "request_too_large"},     {429, "rate_limit_error"},
      {503, "overloaded_error"},      {500, "api_error"}};
  for (const auto& [status, kind] : kinds)
    CHECK(error_body(Dialect::kAnthropic, status, "")["error"]["type"] == kind);
  CHECK(last_words(Dialect::kNative, 5) == "5\n");
  CHECK(last_words(Dialect::kOpenAi, 5) == "data: 5\n\n");
  CHECK(last_words(Dialect::kAnthropic, 5) == "event: error\ndata: 5\n\n");
}

TEST_CASE("ids are not used twice") {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(new_id("msg_"));
  CHECK(ids.size() == 1000);
  CHECK(ids.begin()->size() == 4 + 24);
}

}  // namespace
}  // namespace cria::server
