#include "base/error.h"
#include "base/file.h"
#include "base/sha256.h"
#include "tests/skip.h"
#include "text/chat/detect.h"
#include "text/chat/prompt.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <span>
#include <sstream>

using namespace cria;
using namespace cria::text;
namespace fs = std::filesystem;

namespace {

const std::string kFolder = CRIA_SHARED_DIR "/data/templates/ollama";

bool has_shared_data() {
  if (fs::exists(kFolder)) return true;
  test::skip("no shared data at " + kFolder);
  return false;
}

Json message(const std::string& role, const std::string& content) {
  return {{"role", role}, {"content", content}};
}

// Not {a}: for one element, compilers differ on whether that is a list.
template <class... Messages>
Json list(const Messages&... messages) {
  Json all = Json::array();
  (all.push_back(messages), ...);
  return all;
}

std::string hash_start(const std::string& text) {
  Sha256 hash;
  hash.update(std::as_bytes(std::span(text)));
  return hash.hex().substr(0, 8);
}

std::string render(std::string_view source, Json messages, Json tools = Json::array(),
                   Json think = Json()) {
  return PromptTemplate::parse(source).render_chat(
      {std::move(messages), std::move(tools), std::move(think)});
}

const Json kTools = Json::parse(
    R"([{"type":"function","function":{"name":"get_weather","description":"Weather of a city",
  "parameters":{"type":"object","required":["city"],"properties":{"unit":{"type":"string","enum":["C","F"]},
  "city":{"type":"string","description":"City <name>"}}}}}])");

}  // namespace

TEST_CASE("the built-in templates render Ollama's expected prompts") {
  if (!has_shared_data()) return;
  const std::map<std::string, Json> conversations = {
      {"system", message("system", "You are a helpful assistant.")},
      {"user", message("user", "Hello, how are you?")},
      {"assistant", message("assistant", "I'm doing great. How can I help you today?")}};
  const Json last = message("user", "I'd like to show off how chat templating works!");
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(kFolder + "/testdata")) {
    if (!entry.is_regular_file() || entry.path().extension() == ".jsonl") continue;
    const std::string name = entry.path().parent_path().stem().string();
    CAPTURE(entry.path().string());
    Json messages = Json::array();
    std::stringstream roles(entry.path().filename().string());
    bool had_user = false;
    for (std::string role; std::getline(roles, role, '-');) {
      messages.push_back(role == "user" && had_user ? last : conversations.at(role));
      had_user = had_user || role == "user";
    }
    std::string text = render(builtin_template(name).value().text, messages);
    for (const char* trimmed :
         {"chatqa", "llama2-chat", "mistral-instruct", "openchat", "vicuna"}) {
      if (name == trimmed && text.ends_with(' ')) text.pop_back();
    }
    CHECK(text == read_text_file(entry.path(), 1 << 20));
    ++files;
  }
  CHECK(files > 30);
}

TEST_CASE("all built-in templates give the prompts whose hashes are published") {
  const Json a = list(message("user", "Hi"));
  const Json b = list(message("system", "Be brief."), message("user", "Hi"),
                      message("assistant", "Hello."), message("user", "Bye <b>&"));
  struct Row {
    const char *name, *a, *b;
  };
  for (const Row& row :
       std::initializer_list<Row>{{"alfred", "e6b9dfe2", "c8f6022f"},
                                  {"alpaca", "ee5789ef", "37025d3c"},
                                  {"chatml", "49ea1cfb", "73cad649"},
                                  {"chatqa", "a3e365f0", "b489f5c4"},
                                  {"codellama-70b-instruct", "293a2c1c", "0d1d7783"},
                                  {"command-r", "715e5bf6", "ff563eb1"},
                                  {"falcon-instruct", "fbd372a5", "242d0d39"},
                                  {"gemma-instruct", "f14158ac", "b9734938"},
                                  {"gemma3-instruct", "cf1b4fb1", "9a8576f9"},
                                  {"granite-instruct", "4129d89d", "6fc95e7b"},
                                  {"llama2-chat", "1827f21f", "dbb8a979"},
                                  {"llama3-instruct", "62b6362c", "2781c6db"},
                                  {"magicoder", "c43ecde5", "fe232d86"},
                                  {"mistral-instruct", "7df0f001", "d4e2b024"},
                                  {"openchat", "0cf589f3", "7dcf502b"},
                                  {"phi-3", "47e689a2", "62f19ed4"},
                                  {"solar-instruct", "e8644d79", "d3a9aa4f"},
                                  {"starcoder2-instruct", "83079a50", "48a07e9a"},
                                  {"vicuna", "afd1bf90", "e9037b8f"},
                                  {"zephyr", "af3838ef", "33c6ff0b"}}) {
    CAPTURE(row.name);
    const std::string text = builtin_template(row.name).value().text;
    CHECK(hash_start(render(text, a)) == row.a);
    CHECK(hash_start(render(text, b)) == row.b);
  }
}

TEST_CASE("published Jinja templates are recognised, others are not") {
  if (!has_shared_data()) return;
  std::ifstream lines(kFolder + "/testdata/templates.jsonl");
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const Json row = parse_json(line);
    for (const auto& [name, text] : row.items()) {
      const auto found = detect_template(text.get<std::string>());
      CHECK((found ? found->name : "none") == name);
      // A few edits do not matter.
      const auto near = detect_template("{# edited #}" + text.get<std::string>());
      CHECK((near ? near->name : "none") == name);
    }
  }
  CHECK(count == 35);
  CHECK(!detect_template("").has_value());
  CHECK(!detect_template(std::string(3'000'000, 'x')).has_value());
  const std::string qwen = CRIA_SHARED_DIR "/data/templates/jinja/Qwen-Qwen2.5-7B-Instruct.jinja";
  if (fs::exists(qwen)) CHECK(!detect_template(read_text_file(qwen, 1 << 20)).has_value());
  CHECK(builtin_template("gemma3-instruct").value().parameters ==
        Json::parse(R"({"stop":["<end_of_turn>"]})"));
}

TEST_CASE("edit_distance counts code points up to its limit") {
  CHECK(edit_distance(U"kitten", U"sitting", 100) == 3);
  CHECK(edit_distance(U"", U"abc", 100) == 3);
  CHECK(edit_distance(U"é", U"e", 100) == 1);
  CHECK(edit_distance(U"kitten", U"sitting", 3) == 3);
  CHECK(edit_distance(U"abcdef", U"ghijkl", 4) == 4);
}

TEST_CASE("a legacy template runs once per exchange and leaves the last answer open") {
  const std::string t = "{{if .System}}<s>{{.System}}{{end}}<u>{{.Prompt}}<a>{{.Response}}</a>\n";
  CHECK(render(t, list(message("system", "S"), message("user", "1"), message("assistant", "2"),
                       message("user", "3"))) == "<s>S<u>1<a>2</a>\n<u>3<a>");
  CHECK(render(t, list(message("user", "1"), message("assistant", "begun"))) == "<u>1<a>begun");
  CHECK(render("{{.Prompt}}", list(message("user", "1"))) == "1");
  CHECK(render("{{.Prompt}}", list(message("user", "1"), message("assistant", "2"))) == "12");
}

TEST_CASE("neighbours of one role are joined, tool results are not") {
  const std::string t = "{{range .Messages}}[{{.Role}}:{{.Content}}]{{end}}|{{.System}}";
  CHECK(render(t, list(message("SYSTEM", "a"), message("user", "1"), message("user", "2"),
                       message("tool", "x"), message("tool", "y"), message("system", "b"))) ==
        "[system:a][user:1\n\n2][tool:x][tool:y][system:b]|a\n\nb");
}

TEST_CASE("tools, calls and thinking print as Ollama's types do") {
  const std::string tool_json =
      R"({"type":"function","function":{"name":"get_weather","description":"Weather of a city",)"
      R"("parameters":{"type":"object","required":["city"],"properties":{"city":{"type":"string",)"
      R"("description":"City \u003cname\u003e"},"unit":{"type":"string","enum":["C","F"]}}}}})";
  const Json m = list(message("user", "x"));
  CHECK(render("{{.Messages|len}}{{.Tools}}", m, kTools) == "1[" + tool_json + "]");
  CHECK(render("{{range .Tools}}{{.}}{{json .}}{{end}}{{if .Messages}}{{end}}", m, kTools) ==
        tool_json + tool_json);
  CHECK(render("{{range .Tools}}{{range $k, $p := "
               ".Function.Parameters.Properties}}{{$k}}:{{$p.Type}} {{toTypeScriptType $p}};"
               "{{end}}{{end}}{{if .Messages}}{{end}}",
               m, kTools) == "city:string string;unit:string string;");
  const Json call =
      Json::parse(R"([{"role":"assistant","thinking":"hm","tool_calls":[{"id":"c1","function":
      {"name":"f","arguments":{"b":1,"a":"<"}}}]}])");
  CHECK(render("{{range .Messages}}{{.Thinking}}{{range "
               ".ToolCalls}}{{.ID}}{{.Function.Name}}{{.Function.Arguments}}{{end}}{{end}}",
               call) == "hmc1f{\"a\":\"\\u003c\",\"b\":1}");
  CHECK(render("{{if .Messages}}{{.Think}} {{.ThinkLevel}} {{.IsThinkSet}}{{end}}", m,
               Json::array(), "low") == "true low true");
  CHECK(render("{{if .Messages}}{{.Think}} {{.ThinkLevel}}{{.IsThinkSet}}{{end}}", m) ==
        "false false");
}

TEST_CASE("a template tells capabilities and tags") {
  const auto t = PromptTemplate::parse(
      "{{range .Messages}}{{if .Thinking}}<think>\n{{.Thinking}}\n</think>{{end}}"
      "{{if .ToolCalls}}\n<tool_call>{{range .ToolCalls}}{\"n\"}{{end}}{{end}}{{end}}{{.Tools}}");
  CHECK(t.capabilities().tools);
  CHECK(t.capabilities().thinking);
  CHECK(!t.capabilities().insert);
  CHECK(t.marks().tool_tag == "<tool_call>");
  CHECK(t.marks().thinking->open == "<think>");
  CHECK(t.marks().thinking->close == "</think>");
  CHECK(PromptTemplate::parse("{{.Prompt}}").marks().tool_tag == "{");
  const auto fim = PromptTemplate::parse("<P>{{.Prompt}}<S>{{.Suffix}}<M>");
  CHECK(fim.capabilities().insert);
  CHECK(fim.render_insert("a", "b", Json()) == "<P>a<S>b<M>");
  CHECK_THROWS_WITH_AS(PromptTemplate::parse("{{template \"x\"}}"),
                       "template error: undefined template specified", Error);
}

TEST_CASE("a model's own messages come first, its system only without one in the request") {
  const Json own = list(message("user", "q"), message("assistant", "a"));
  CHECK(with_model_messages(own, "S", list(message("user", "x"))).size() == 4);
  CHECK(with_model_messages(own, "S", list(message("user", "x")))[0]["content"] == "S");
  CHECK(with_model_messages(own, "S", list(message("system", "T"))).size() == 3);
}

TEST_CASE("old thinking is removed") {
  const Json m = list(message("user", "1"), message("assistant", "<think>x</think>\n\nA"),
                      message("user", "2"), message("assistant", "<think>y</think>B"));
  const Json cleaned = without_old_thinking(m);
  CHECK(cleaned[1]["content"] == "A");
  CHECK(cleaned[3]["content"] == "<think>y</think>B");
}
