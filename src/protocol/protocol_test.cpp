#include "protocol/protocol.h"

#include <doctest/doctest.h>

namespace cria::protocol {
namespace {

template <class Message>
Json trip(const Message& message) {
  if constexpr (std::is_constructible_v<Request, Message>)
    return to_json(request_from_json(parse_json(dump_json(to_json(Request(message))))));
  else
    return to_json(event_from_json(parse_json(dump_json(to_json(Event(message))))));
}

TEST_CASE("every message survives the trip through JSON") {
  const Load load = {.model_path = "/m",
                     .adapter_paths = {"a", "b"},
                     .num_ctx = 9,
                     .kv_type = "q8_0",
                     .prompt_file = "/p",
                     .promised_bytes = 11};
  CHECK(trip(load) == to_json(Request(load)));
  Generate generate = {.id = 7,
                       .model = {.template_text = "t", .system = "s"},
                       .chat = true,
                       .prompt = "p",
                       .raw = true,
                       .context = {1, 2},
                       .images = {std::string("\xff\0\x01", 3)},
                       .think = "high",
                       .options = {{"seed", 1}},
                       .shift = false,
                       .top_logprobs = 3};
  generate.tools.push_back({{"z", 1}, {"a", 2}});
  CHECK(trip(generate) == to_json(Request(generate)));
  const Request back = request_from_json(to_json(Request(generate)));
  CHECK(std::get<Generate>(back).images == generate.images);
  CHECK(std::get<Generate>(back).tools.dump() == R"([{"z":1,"a":2}])");
  const Embed embed = {.id = 4,
                       .request_id = "r-4",
                       .inputs = {"", std::string("a\0b", 3)},
                       .truncate = false,
                       .num_ctx = 6,
                       .dimensions = 5,
                       .normalize = false};
  CHECK(trip(embed) == to_json(Request(embed)));
  CHECK_FALSE(std::get<Embed>(request_from_json(to_json(Request(embed)))).query.has_value());
  const Embed rank = {.id = 5, .inputs = {"d"}, .query = ""};
  CHECK(std::get<Embed>(request_from_json(to_json(Request(rank)))).query == "");
  const Tokenize tokenize = {.id = 6,
                             .request_id = "r-6",
                             .text = "t",
                             .add_special = true,
                             .parse_special = false,
                             .pieces = true};
  CHECK(trip(tokenize) == to_json(Request(tokenize)));
  const Detokenize detokenize = {.id = 7, .request_id = "r-7", .tokens = {3, 1}};
  CHECK(trip(detokenize) == to_json(Request(detokenize)));
  const Tokens tokens = {.id = 6, .tokens = {3, 1}, .pieces = parse_json(R"(["a",[200]])")};
  CHECK(trip(tokens) == to_json(Event(tokens)));
  CHECK(trip(tokens)["pieces"][1][0] == 200);
  const Vector vector = {
      .id = 4, .index = 1, .values = {0.1f, -3e38f, 1e-45f}, .truncated_tokens = 6};
  CHECK(trip(vector)["truncated_tokens"] == 6);
  const Event vector_back = event_from_json(to_json(Event(vector)));
  CHECK(std::get<Vector>(vector_back).values == vector.values);
  CHECK(std::get<Vector>(vector_back).index == 1);
  CHECK(trip(Cancel{3}) == to_json(Request(Cancel{3})));
  const Text text = {.id = 1,
                     .content = "c",
                     .tool_calls = Json::array({{{"id", "x"}}}),
                     .prompt_tokens = 7,
                     .truncated = {.messages = 2, .tokens = 613},
                     .generated_tokens = 3};
  CHECK(trip(text)["truncated"].dump() == R"({"messages":2,"tokens":613})");
  CHECK(trip(text)["generated_tokens"] == 3);
  const Usage usage = {.pages = 9, .pages_used = 5, .pages_cached = 4, .weight_bytes_unread = 7};
  CHECK(trip(usage) == to_json(Event(usage)));
  CHECK(trip(usage)["pages_cached"] == 4);
  CHECK(trip(text)["prompt_tokens"] == 7);
  CHECK(trip(text) == to_json(Event(text)));
  const Done done = {.id = 1,
                     .reason = "stop",
                     .stop_string = "x",
                     .prompt_tokens = 4,
                     .truncated = {.tokens = 9},
                     .shifted_tokens = 8,
                     .context = {5}};
  CHECK(trip(done)["truncated"]["tokens"] == 9);
  CHECK(trip(done)["shifted_tokens"] == 8);
  CHECK_FALSE(trip(Done{.id = 1}).contains("truncated"));
  CHECK(trip(done)["stop_string"] == "x");
  CHECK(trip(done) == to_json(Event(done)));
  CHECK(trip(Loaded{.context_length = 1,
                    .longest_context = 2,
                    .backend = "cpu",
                    .sandboxed = true})["sandboxed"] == true);
  CHECK(trip(Failure{2, ErrorKind::kTooLarge, "why"})["kind"] == "too_large");
  CHECK_FALSE(trip(Failure{2, ErrorKind::kTooLarge, "why"}).contains("shortage"));
  const Failure refused{
      .kind = ErrorKind::kOutOfMemory, .message = "why", .shortage = Shortage{9, -5}};
  CHECK(trip(refused)["shortage"] == Json{{"needed", 9}, {"available", 0}});
  CHECK(trip(Alive{.texts = true}) == to_json(Event(Alive{.texts = true})));
  CHECK(trip(Alive{.texts = true})["steps"] == false);
  CHECK(trip(Begun{.id = 3})["id"] == 3);
  CHECK(trip(Progress{0.5})["fraction"] == 0.5);
  CHECK(trip(Result{{{"a", 1}}})["result"]["a"] == 1);
  const Job job = {.kind = "inspect", .arguments = {{"path", "x"}}};
  CHECK(to_json(job_from_json(to_json(job))) == to_json(job));
}

TEST_CASE("a hostile message is refused with the field's name") {
  for (const char* bad :
       {"[]", "{}", "null", R"({"type":"text","id":-1})", R"({"type":"text","content":5})",
        R"({"type":"done","context":[4294967296]})", R"({"type":"done","context":[-1]})",
        R"({"type":"done","context":["a"]})", R"({"type":"loaded","kv_bytes":-5})",
        R"({"type":"vector","values":"AAAA"})", R"({"type":"vector","index":-1})",
        R"({"type":"text","truncated":[]})", R"({"type":"done","truncated":{"tokens":-1}})",
        R"({"type":"text","tool_calls":{}})", R"({"type":"generate"})"})
    CHECK_THROWS_AS(event_from_json(parse_json(bad)), Error);
  CHECK_THROWS_AS(request_from_json(parse_json(R"({"type":"generate","images":["%"]})")), Error);
  CHECK_THROWS_AS(request_from_json(parse_json(R"({"type":"embed","inputs":[1]})")), Error);
  CHECK_THROWS_AS(request_from_json(parse_json(R"({"type":"embed","dimensions":-1})")), Error);
  CHECK_THROWS_AS(request_from_json(parse_json(R"({"type":"generate","options":[]})")), Error);
  CHECK_THROWS_WITH(event_from_json(parse_json(R"({"type":"done","prompt_ns":-1})")),
                    "field \"prompt_ns\" is negative: -1");
}

}  // namespace
}  // namespace cria::protocol
