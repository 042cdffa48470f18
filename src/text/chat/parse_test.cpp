#include "text/chat/parse.h"

#include "text/chat/prompt.h"

#include <doctest/doctest.h>

using namespace cria;
using namespace cria::text;

namespace {

const Json kTools = Json::parse(R"([{"function":{"name":"add"}},{"function":{"name":"add_all"}}])");

template <class Parser>
Parsed run(Parser parser, std::string_view text, size_t piece) {
  Parsed all;
  const auto take = [&](const Parsed& p) {
    all.content += p.content;
    all.thinking += p.thinking;
    for (const Json& c : p.tool_calls) all.tool_calls.push_back(c);
    for (const Json& c : p.call_pieces) all.call_pieces.push_back(c);
  };
  for (size_t i = 0; i < text.size(); i += piece) take(parser.add(text.substr(i, piece)));
  take(parser.finish());
  return all;
}

std::string calls(const Parsed& p) {
  std::string text;
  for (const Json& c : p.tool_calls) {
    text += c["function"]["name"].get<std::string>() + dump_json(c["function"]["arguments"]) + ";";
  }
  return text;
}

// The same of calls that were told in pieces; "..." is the end of one that broke off.
std::string told(const Parsed& p) {
  std::string text;
  bool open = false;
  for (const Json& piece : p.call_pieces) {
    if (piece.contains("name")) {
      CHECK(piece["id"].get<std::string>().size() == 13);
      text += (open ? "...;" : "") + piece["name"].get<std::string>();
    }
    text += piece["arguments"].get<std::string>();
    open = !piece.value("last", false);
    if (!open) text += ";";
  }
  return text + (open ? "..." : "");
}

}  // namespace

TEST_CASE("thinking is split from the answer however the text is cut into pieces") {
  const ThinkingTags tags{"<think>", "</think>"};
  for (const size_t piece : std::initializer_list<size_t>{1, 2, 3, 7, 100}) {
    CAPTURE(piece);
    Parsed p = run(ThinkingParser(tags, false),
                   " \n<think>\n a </thin b</think>\n\n answer </think>", piece);
    CHECK(p.thinking == "a </thin b");
    CHECK(p.content == "answer </think>");
    p = run(ThinkingParser(tags, true), "\nx</think>y", piece);
    CHECK(p.thinking == "x");
    CHECK(p.content == "y");
    p = run(ThinkingParser(tags, false), " no <think>", piece);
    CHECK(p.content == " no <think>");
    CHECK(p.thinking.empty());
    CHECK(run(ThinkingParser(tags, false), "<thi", piece).content == "<thi");
    CHECK(run(ThinkingParser(tags, false), "<think>a</thi", piece).thinking == "a</thi");
  }
}

TEST_CASE("text that cannot be a tag is passed on at once") {
  ThinkingParser p({"<think>", "</think>"}, true);
  CHECK(p.add("abc</").thinking == "abc");
  CHECK(p.add("x").thinking == "</x");
}

TEST_CASE("tool calls after a tag are found however the text is cut into pieces") {
  for (const size_t piece : std::initializer_list<size_t>{1, 2, 5, 200}) {
    CAPTURE(piece);
    Parsed p = run(ToolCallParser("<tool_call>", kTools),
                   "Sure <b>.\n<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": "
                   "\"}\\\"\"}}\n</tool_call>\n<tool_call>"
                   "{\"name\": \"add_all\", \"parameters\": {}}</tool_call>",
                   piece);
    CHECK(p.content == "Sure <b>.");
    CHECK(calls(p) == "add{\"a\":\"}\\\"\"};add_all{};");
    CHECK(p.tool_calls[1]["function"]["index"] == 1);
    CHECK(p.tool_calls[0]["id"].get<std::string>().size() == 13);
    CHECK(calls(run(ToolCallParser("<tool_call>", kTools), "<tool_call>{\"add\":{\"x\":1}} ",
                    piece)) == "add{\"x\":1};");
    CHECK(run(ToolCallParser("<tool_call>", kTools), "a <tool_c", piece).content == "a <tool_c");
    // The end looks like the beginning of a name.
    CHECK(calls(run(ToolCallParser("<tool_call>", kTools),
                    "<tool_call>{\"name\":\"add\",\"arguments\":{}} a", piece)) == "add{};");
    CHECK(
        run(ToolCallParser("<t>", kTools), "a <t>nothing", piece).content.ends_with("<t>nothing"));
  }
}

TEST_CASE("with a bare brace as tag only an answer that starts with it is a call") {
  for (const size_t piece : std::initializer_list<size_t>{1, 3, 200}) {
    CAPTURE(piece);
    Parsed p =
        run(ToolCallParser("{", kTools), "{\"name\":\"add\",\"parameters\":{\"a\":1}} done", piece);
    CHECK(calls(p) == "add{\"a\":1};");
    CHECK(run(ToolCallParser("{", kTools), "Use {\"name\":\"add\",\"parameters\":{}}", piece)
              .tool_calls.empty());
    CHECK(run(ToolCallParser("{", kTools), "Use {x} y", piece).content == "Use {x} y");
    CHECK(run(ToolCallParser("{", kTools), "{\"other\": 1} end", piece).content ==
          "{\"other\": 1} end");
    CHECK(calls(run(ToolCallParser("[", kTools),
                    "[{\"name\":\"add\",\"arguments\":\"{\\\"b\\\":2}\"}]", piece)) ==
          "add{\"b\":2};");
    p = run(ToolCallParser("{", kTools),
            "{\"name\":\"add\",\"parameters\":{\"s\":\"{\"}}; "
            "{\"name\":\"add_all\",\"parameters\":{}}\nDone {x}",
            piece);
    CHECK(calls(p) == "add{\"s\":\"{\"};add_all{};");
    CHECK(p.content == "Done {x}");
    CHECK(run(ToolCallParser("{", kTools), "{\"name\":\"add\",\"arguments\":{}} {\"x\":1} y", piece)
              .content == "{\"x\":1} y");
  }
}

TEST_CASE("a call without its tag is one where the answer begins with it") {
  for (const size_t piece : std::initializer_list<size_t>{1, 3, 200}) {
    CAPTURE(piece);
    const auto answer = [&](std::string_view text) {
      return run(ToolCallParser("<tool_call>", kTools, true), text, piece);
    };
    CHECK(calls(answer("\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}")) == "add{\"a\":1};");
    CHECK(calls(answer("<tool_call>\n{\"name\": \"add\", \"arguments\": {}}\n</tool_call>")) ==
          "add{};");
    CHECK(answer("{\"city\": 1} is JSON").content == "{\"city\": 1} is JSON");
    CHECK(answer(" plain").content == " plain");
    CHECK(answer("Use {\"name\": \"add\", \"arguments\": {}}").tool_calls.empty());
    CHECK(answer(" \n").content == " \n");
  }
}

TEST_CASE("a call in a block of code is one however the text is cut into pieces") {
  const std::string call = "{\n  \"name\": \"add\",\n  \"arguments\": {\"a\": 1}\n}";
  for (const char* tag : {"<tool_call>", "{"}) {
    for (const size_t piece : std::initializer_list<size_t>{1, 3, 200}) {
      CAPTURE(tag);
      CAPTURE(piece);
      const auto answer = [&](const std::string& text) {
        return run(OutputParser({.tool_tag = tag, .bare_calls = true}, "", kTools, false), text,
                   piece);
      };
      Parsed p = answer("\n```json\n" + call + "\n```");
      CHECK(calls(p) == "add{\"a\":1};");
      CHECK(p.content.empty());
      CHECK(calls(answer("```\n" + call)) == "add{\"a\":1};");  // never closed
      p = answer("```json\n" + call + "\n```\n\n```json\n" +
                 R"({"name":"add_all","parameters":{}})" + "\n```\n");
      CHECK(calls(p) == "add{\"a\":1};add_all{};");
      CHECK(p.content.empty());
      CHECK(calls(answer("```json\n" + call + "\n" + call + "\n```")) ==
            "add{\"a\":1};add{\"a\":1};");
      const std::string fenced = R"({"name":"add","arguments":{"a":"\n```"}})";
      CHECK(calls(answer("```json\n" + fenced + "\n```")) == R"(add{"a":"\n```"};)");
      for (const std::string text :
           {"```json\n{\"name\": \"subtract\", \"arguments\": {}}\n```",  // no such tool
            "```json\n{\"name\": \"add\"}\n```", "```json\n{\"name\": \"add\", \"age\": 3}\n```",
            "```json\n{\"name\": \"add\", \"arguments\": 3}\n```", "```python\nadd(1)\n```", "```",
            "`", "``` ```json\n{}", "Use ```json\n{\"name\":\"add\",\"arguments\":{}}\n```"}) {
        CAPTURE(text);
        p = answer(text);
        CHECK(p.content == text);
        CHECK(p.tool_calls.empty());
      }
      const std::string far = "```" + std::string(5000, ' ') + call;
      CHECK(answer("So:\n" + far).content == "So:\n" + far);
    }
  }
}

TEST_CASE("a block of code with a call may follow text where calls have a tag") {
  const std::string text =
      "Let me add:\n\n  ```json\n{\"name\":\"add\",\"arguments\":{}}\n```\nDone";
  for (const size_t piece : std::initializer_list<size_t>{1, 3, 200}) {
    CAPTURE(piece);
    Parsed p = run(OutputParser({.tool_tag = "<tool_call>"}, "", kTools, false), text, piece);
    CHECK(p.content == "Let me add:");
    CHECK(calls(p) == "add{};");
    // A bare call is one only where the answer begins, in a block or not.
    p = run(OutputParser({.tool_tag = "{"}, "", kTools, false), text, piece);
    CHECK(p.content == text);
    CHECK(p.tool_calls.empty());
    p = run(OutputParser({.tool_tag = "["}, "", kTools, false), text.substr(13), piece);
    CHECK(p.content == text.substr(13));
    p = run(OutputParser({.tool_tag = "<tool_call>"}, "", kTools, false),
            "```json\n{\"name\":\"add\",\"arguments\":{\"a\": oops\n```", piece);
    CHECK(p.content == "<tool_call>{\"name\":\"add\",\"arguments\":{\"a\": oops");
  }
}

TEST_CASE("a block that is no call is passed on as soon as that is known") {
  OutputParser p({.tool_tag = "<tool_call>", .bare_calls = false}, "", kTools, false);
  CHECK(p.add("```js").content.empty());
  CHECK(p.add("on\n{\"a").content == "```json\n{\"a");
  CHECK(p.add("ge\": 3}").content == "ge\": 3}");
}

TEST_CASE("OutputParser runs what the template and the request ask for") {
  const auto t = PromptTemplate::parse(
      "{{range .Messages}}{{if .Thinking}}<think>{{.Thinking}}</think>{{end}}{{if "
      ".ToolCalls}}<tool_call>{{.ToolCalls}}"
      "{{end}}{{end}}{{.Tools}}");
  const std::string_view answer =
      "<think>hm</think>ok<tool_call>{\"name\":\"add\",\"arguments\":{}}";
  Parsed p = run(OutputParser(t.marks(), "", kTools, true), answer, 4);
  CHECK(p.thinking == "hm");
  CHECK(p.content == "ok");
  CHECK(calls(p) == "add{};");
  CHECK(run(OutputParser(t.marks(), "...<think>\n", Json::array(), "low"), "a</think>b", 1)
            .thinking == "a");
  CHECK(run(OutputParser(t.marks(), "", Json::array(), false), answer, 4).content == answer);
}

TEST_CASE("calls are told in pieces however the text is cut, and add up to the whole ones") {
  struct Case {
    const char *answer, *told, *content;
  };
  const Case cases[] = {
      {"Sure.\n<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": [1, \"} \\\" x\"], \"b\": "
       "{}}}\n</tool_call>\n<tool_call>{\"name\": \"add_all\", \"parameters\": { }}</tool_call>",
       "add{\"a\":[1,\"} \\\" x\"],\"b\":{}};add_all{};", "Sure."},
      // Forms whose arguments cannot be told before their end.
      {"<tool_call>{\"add\": {\"x\": 1}}", "add{\"x\":1};", ""},
      {"<tool_call>{\"arguments\": {\"a\": 1}, \"name\": \"add\"}", "add{\"a\":1};", ""},
      {"<tool_call>{\"name\":\"add\",\"arguments\":\"{\\\"a\\\":1}\"}", "add{\"a\":1};", ""},
      // The last of equal keys counts: what was told of the first was no call.
      {"<tool_call>{\"name\":\"add\",\"arguments\":{\"a\":1},\"arguments\":{\"b\":2}}",
       "add{\"a\":1...;add{\"b\":2};", ""},
      // Cut, and broken: the text is the answer's, as when calls are told whole.
      {"<tool_call>{\"name\":\"add\",\"arguments\":{\"a\": 1", "add{\"a\":1...",
       "<tool_call>{\"name\":\"add\",\"arguments\":{\"a\": 1"},
      {"<tool_call>{\"name\":\"add\",\"arguments\":{\"a\": 1,}}", "add{\"a\":1,...",
       "<tool_call>{\"name\":\"add\",\"arguments\":{\"a\": 1,}}"},
      {"<tool_call>{\"name\":\"sub\",\"arguments\":{\"a\":1}}", "",
       "<tool_call>{\"name\":\"sub\",\"arguments\":{\"a\":1}}"}};
  for (const Case& c : cases)
    for (const size_t piece : std::initializer_list<size_t>{1, 2, 5, 200}) {
      CAPTURE(c.answer);
      CAPTURE(piece);
      const Parsed p = run(ToolCallParser("<tool_call>", kTools, false, true), c.answer, piece);
      CHECK(told(p) == c.told);
      CHECK(p.content == c.content);
      CHECK(p.tool_calls.empty());
      const Parsed whole = run(ToolCallParser("<tool_call>", kTools), c.answer, piece);
      CHECK(whole.content == c.content);
      CHECK(whole.call_pieces.empty());
    }
}

TEST_CASE("the name of a call is told before its arguments are written, and these as they come") {
  ToolCallParser parser("{", kTools, false, true);
  CHECK(parser.add("{\"name\": \"add\", \"arguments\": ").call_pieces.empty());
  CHECK(parser.add("{\"a\": ").call_pieces[0]["arguments"] == "{\"a\":");
  CHECK(parser.add("\"b c").call_pieces.dump() == R"([{"arguments":"\"b c"}])");
  CHECK(parser.add("\"}").call_pieces.dump() == R"([{"arguments":"\""}])");
  CHECK(parser.add("}").call_pieces.dump() == R"([{"arguments":"}","last":true}])");
}

TEST_CASE("a call's own name counts for more than another tool's name in the text") {
  const Json tools = parse_json(R"([{"function":{"name":"a"}},{"function":{"name":"find"}}])");
  const char* const answer = R"({"name": "find", "arguments": {"a": 1}})";
  CHECK(calls(run(ToolCallParser("{", tools), answer, 1)) == R"(find{"a":1};)");
  CHECK(told(run(ToolCallParser("{", tools, false, true), answer, 1)) == R"(find{"a":1};)");
}

// Each of these takes minutes where a piece makes the parser look at all of the text again.
TEST_CASE("long calls are read in time that grows with their length alone") {
  Json tools = kTools;
  for (int i = 0; i < 20; ++i)
    tools.push_back({{"function", {{"name", "another_tool_" + std::to_string(i)}}}});
  const auto many = [](std::string_view text, size_t size) {
    std::string out;
    while (out.size() < size) out += text;
    return out;
  };
  const size_t size = 150'000;
  const auto read = [&](const std::string& text, bool pieces, size_t piece = 3) {
    return run(ToolCallParser("<call>", tools, false, pieces), "<call>" + text, piece);
  };
  const std::string object = R"({"name": "add", "arguments": {"text": ")" + many("a { ", size);
  for (const bool pieces : {false, true}) {
    CAPTURE(pieces);
    const Parsed whole = read(object + R"("}})", pieces);
    CHECK((pieces ? told(whole) : calls(whole)).size() > size);
    CHECK(whole.content.empty());
    // What does not become a call.
    for (const std::string& text :
         {object, many(" ", size), many("word ", size), "{" + many(" ", size),
          R"({"name":"add"})" + many(" add", size), many("{", size / 2) + many("}", size / 2)}) {
      CAPTURE(text.substr(0, 20));
      const Parsed none = read(text, pieces);
      CHECK(none.content == "<call>" + text);
      CHECK(calls(none).empty());
    }
  }
  CHECK(calls(read(many("{x} ", size / 4) + R"({"name": "add", "arguments": {"a": 1}})", false)) ==
        R"(add{"a":1};)");
}

TEST_CASE("a call whose name or object ends with a piece, and what follows, begin anew") {
  const std::string text = R"(<call>{"name":"add","arguments":{"a":1}} {"name":"add_all",)"
                           R"("arguments":{"b":"}{\\"}} add {no} {"add":{"c":3}})";
  for (const size_t piece : std::initializer_list<size_t>{1, 2, 3, 5, 7, 11, 400}) {
    CAPTURE(piece);
    CHECK(calls(run(ToolCallParser("<call>", kTools), text, piece)) ==
          R"(add{"a":1};add_all{"b":"}{\\"};add{"c":3};)");
  }
}
