#include "text/chat/jinja_prompt.h"
#include "base/error.h"
#include "base/file.h"
#include "tests/skip.h"
#include "text/chat/chat_template.h"
#include "text/chat/convert.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

using namespace cria;
using namespace cria::text;

namespace {

const std::filesystem::path kTemplates = CRIA_SHARED_DIR "/data/templates";

std::tm fixed_time() {  // of the goldens: 2026-01-15 09:30:00, a Thursday
  std::tm t{};
  t.tm_year = 126, t.tm_mday = 15, t.tm_hour = 9, t.tm_min = 30, t.tm_wday = 4, t.tm_yday = 14;
  return t;
}

JinjaSource source(std::string text, bool adds_bos = false) {
  return {.text = std::move(text), .bos = "<s>", .eos = "</s>", .adds_bos = adds_bos};
}

// A conversation of the reference in Ollama's wire form.
ChatInput input_of(const Json& conversation) {
  ChatInput input{.now = fixed_time()};
  for (Json message : conversation["messages"]) {
    if (message.contains("reasoning_content")) {
      message["thinking"] = message["reasoning_content"];
      message.erase("reasoning_content");
    }
    if (message.contains("name")) message["tool_name"] = message["name"];
    input.messages.push_back(message);
  }
  if (conversation.contains("tools")) input.tools = conversation["tools"];
  if (conversation.contains("enable_thinking")) input.think = conversation["enable_thinking"];
  return input;
}

std::string render(const std::string& text, const char* messages) {
  return JinjaPrompt::parse(source(text)).render({.messages = Json::parse(messages)});
}

}  // namespace

TEST_CASE(
    "chat templates of published models write Ollama's messages as the reference writes them") {
  if (!std::filesystem::exists(kTemplates))
    return test::skip("no shared data at " + kTemplates.string());
  const Json conversations =
      parse_json(read_text_file(kTemplates / "jinja-goldens/_conversations.json", 1 << 20));
  int equal = 0, other = 0, refused = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kTemplates / "jinja-goldens")) {
    const std::string name = entry.path().stem();
    if (name == "_conversations") continue;
    const Json goldens = parse_json(read_text_file(entry.path(), 1 << 22));
    const auto prompt = JinjaPrompt::parse(
        source(read_text_file(kTemplates / "jinja" / (name + ".jinja"), 1 << 20)));
    for (const auto& [conversation, golden] : goldens.items()) {
      // Not in Ollama's wire form: no answer asked for, contents in parts.
      if (conversation == "system_multi_no_gen" || conversation == "content_parts") continue;
      const Json& given = conversations[conversation];
      if (!golden.contains("expected")) {
        ++refused;  // a system role, which is folded into the question here; the others stay errors
        if (conversation == "system_user") CHECK_NOTHROW(prompt.render(input_of(given)));
        continue;
      }
      if (prompt.render(input_of(given)) == golden["expected"].get<std::string>()) {
        ++equal;
        continue;
      }
      ++other;
      MESSAGE(name << ": " << conversation);
    }
  }
  MESSAGE(equal << " prompts equal, " << other << " other, " << refused
                << " that the reference refuses");
  CHECK(equal >= 387);
  CHECK(other <= 1);
}

TEST_CASE("a template without a system role gets its text with the first question") {
  const std::string strict =
      "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% "
      "endif %}"
      "[{{ m.role }}:{{ m.content }}]{% endfor %}";
  CHECK(render(strict, R"([{"role":"system","content":"S"},{"role":"user","content":"u"}])") ==
        "[user:S\n\nu]");
  CHECK(render(strict, R"([{"role":"user","content":"u"}])") == "[user:u]");
}

TEST_CASE("arguments go as an object, or as text to templates that write them as they are") {
  constexpr const char* kCall =
      R"([{"role":"user","content":"u"},{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},{"role":"tool","content":"2"}])";
  const auto call = [&](const std::string& shown) {
    return render("{% for m in messages %}{% for c in m.tool_calls or [] %}" + shown +
                      "{% endfor %}{% endfor %}",
                  kCall);
  };
  CHECK(call("{{ c.function.arguments | tojson }}") == R"({"a": 1})");
  CHECK(call("{{ c.function.arguments }}") == R"({"a":1})");
  CHECK(call("{{ '<' + c.function.arguments + '>' }}") == R"(<{"a":1}>)");
}

TEST_CASE(
    "the answer goes on behind a last message of the assistant; the tokenizer's BOS is not "
    "doubled") {
  const std::string t =
      "{{ bos_token }}{% for m in messages %}[{{ m.content }}]{% endfor %}{% if "
      "add_generation_prompt %}>{% endif %}";
  CHECK(render(t, R"([{"role":"user","content":"u"},{"role":"assistant","content":"One, "}])") ==
        "<s>[u]>One, ");
  const ChatInput input{.messages = Json::parse(R"([{"role":"user","content":"u"}])")};
  CHECK(JinjaPrompt::parse(source(t, true)).render(input) == "[u]>");
}

TEST_CASE("what a template says against the messages is the request's error") {
  const auto prompt = JinjaPrompt::parse(
      source("{% for m in messages %}{% if m.role == 'x' %}{{ raise_exception('roles must be "
             "known') }}{% endif %}{% endfor %}"));
  CHECK_THROWS_WITH_AS(prompt.render({.messages = Json::parse(R"([{"role":"x","content":""}])")}),
                       "the model's chat template: roles must be known", Error);
  CHECK_THROWS_AS(JinjaPrompt::parse(source("{% if %}")), Error);
}

TEST_CASE("the texts of templates tell tools, thinking and marks") {
  CHECK(jinja_capabilities("{{ tools }}").tools);
  CHECK(jinja_capabilities("<think>{{ x }}</think>").thinking);
  CHECK_FALSE(jinja_capabilities("<think>").thinking);
  CHECK(jinja_capabilities("{{ content.split('</think>')[-1] }}").thinking);
  CHECK_FALSE(
      jinja_capabilities("{{ content.split('</think>') }}{{ reasoning_content }}").thinking);
  CHECK(jinja_marks("<tool_call>\n").tool_tag == "<tool_call>");
  CHECK(jinja_marks("{{ x }}").tool_tag == "{");
  CHECK(jinja_marks("[TOOL_CALLS] [THINK][/THINK]").thinking->close == "[/THINK]");
}

TEST_CASE("the template layer writes prompts unless the file's own can do more") {
  const auto choose = [](std::string_view go, std::string_view jinja,
                         std::optional<bool> wanted = {}) {
    if (go.empty()) return choose_prompt_path(nullptr, go, jinja, wanted);
    const auto parsed = PromptTemplate::parse(go);
    return choose_prompt_path(&parsed, go, jinja, wanted);
  };
  constexpr std::string_view kPlain = "{{ .Prompt }}", kTools = "{{ .Tools }}{{ .Prompt }}";
  constexpr std::string_view kTrip =
      "{{ range .Messages }}{{ if eq .Role \"tool\" }}{{ .Content }}{{ end }}{{ .ToolCalls }}{{ "
      "end }}{{ .Tools }}";
  constexpr std::string_view kJinjaTrip = "{{ tools }}{{ tool_calls }}<tool_response>";
  CHECK(choose("", "") == PromptPath::kPlain);
  CHECK(choose("", "{{ x }}") == PromptPath::kJinja);
  CHECK(choose(kPlain, "") == PromptPath::kGo);
  CHECK(choose(kPlain, "{{ messages }}") == PromptPath::kGo);
  CHECK(choose(kPlain, "{{ tools }}") == PromptPath::kJinja);
  CHECK(choose(kTools, "{{ tools }}") == PromptPath::kGo);
  CHECK(choose(kTools, kJinjaTrip) == PromptPath::kJinja);
  CHECK(choose(kTrip, kJinjaTrip) == PromptPath::kGo);
  CHECK(choose(kPlain, "{{ tools }}", true) == PromptPath::kGo);
  CHECK(choose(kTrip, "{{ x }}", false) == PromptPath::kJinja);
}

TEST_CASE("a conversion to Go is taken only when it writes the same") {
  const Conversion plain = convert_chat_template(source(
      "{{ bos_token }}{% if messages[0].role != 'system' "
      "%}<|im_start|>system\nDefault.<|im_end|>\n{% endif %}"
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
      "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
      true));
  CAPTURE(plain.why_none);
  REQUIRE_FALSE(plain.text.empty());
  CHECK(plain.stop == Json::parse(R"(["<|im_end|>","<|im_start|>user"])"));
  const auto go = PromptTemplate::parse(plain.text);
  CHECK(go.render_chat({.messages = Json::parse(R"([{"role":"user","content":"u"}])")}) ==
        "<|im_start|>system\nDefault.<|im_end|>\n<|im_start|>user\nu<|im_end|>\n<|im_start|>"
        "assistant\n");
  // It trims what it is given; Ollama's Go templates cannot.
  CHECK(convert_chat_template(
            source("{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}{% endfor %}"))
            .why_none == "white space and signs");
  CHECK(convert_chat_template(source("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% "
                                     "endfor %}{% if tools %}T{% endif %}"))
            .why_none == "tools");
  // Today's date would be written down for ever.
  CHECK(convert_chat_template(source("{{ strftime_now('%d %b %Y') }}{% for m in messages %}<{{ "
                                     "m.role }}>{{ m.content }}{% endfor %}"))
            .why_none == "a question");
  CHECK_FALSE(convert_chat_template(source("{% if %}")).why_none.empty());
  CHECK_FALSE(convert_chat_template(source("")).why_none.empty());
}

TEST_CASE("published chat templates: how many have a proved Go form") {
  if (!std::filesystem::exists(kTemplates))
    return test::skip("no shared data at " + kTemplates.string());
  int all = 0, converted = 0;
  const auto count = [&](const std::string& name, std::string text) {
    ++all;
    const Conversion c = convert_chat_template(source(std::move(text)));
    converted += !c.text.empty();
    if (c.text.empty()) MESSAGE(name << ": " << c.why_none);
  };
  for (const auto& entry : std::filesystem::directory_iterator(kTemplates / "jinja"))
    if (entry.path().extension() == ".jinja")
      count(entry.path().stem(), read_text_file(entry.path(), 1 << 20));
  std::ifstream lines(kTemplates / "ollama/testdata/templates.jsonl");
  for (std::string line; std::getline(lines, line);) {
    const Json row = parse_json(line);
    for (const auto& [name, text] : row.items()) count(name, text.get<std::string>());
  }
  MESSAGE(converted << " of " << all << " chat templates have a Go form");
  CHECK(all == 81);
  CHECK(converted >= 20);
}
