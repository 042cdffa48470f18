#include "base/error.h"
#include "base/file.h"
#include "tests/skip.h"
#include "text/jinja/template.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <map>

using namespace cria;

namespace {

std::tm fixed_time() {  // 2026-01-15 09:30:00, a Thursday
  std::tm t = {};
  t.tm_year = 126;
  t.tm_mday = 15;
  t.tm_hour = 9;
  t.tm_min = 30;
  t.tm_wday = 4;
  t.tm_yday = 14;
  return t;
}

}  // namespace

TEST_CASE("every published chat template renders as the reference, byte for byte") {
  const std::filesystem::path root = CRIA_SHARED_DIR "/data/templates";
  if (!std::filesystem::exists(root)) {
    test::skip("no shared data at " + root.string());
    return;
  }
  const Json conversations =
      parse_json(read_text_file(root / "jinja-goldens/_conversations.json", 1 << 20));
  int templates = 0, renders = 0, raises = 0;
  for (const auto& entry : std::filesystem::directory_iterator(root / "jinja-goldens")) {
    const std::string name = entry.path().stem();
    if (name == "_conversations") continue;
    ++templates;
    CAPTURE(name);
    const Json goldens = parse_json(read_text_file(entry.path(), 1 << 22));
    const auto t =
        jinja::Template::parse(read_text_file(root / "jinja" / (name + ".jinja"), 1 << 20));
    for (const auto& [conversation, golden] : goldens.items()) {
      CAPTURE(conversation);
      Json variables = conversations[conversation];
      variables["bos_token"] = "<s>";
      variables["eos_token"] = "</s>";
      if (!variables.contains("tools")) variables["tools"] = nullptr;
      variables["documents"] = nullptr;
      std::string out, message;
      try {
        out = t.render(variables, {.now = fixed_time()});
      } catch (const Error& e) {
        message = e.what();
      }
      CHECK(message == json_string(golden, "raises").value_or(""));
      if (golden.contains("expected")) {
        CHECK(out == golden["expected"].get<std::string>());
        ++renders;
      } else {
        ++raises;
      }
    }
  }
  MESSAGE(templates << " templates: " << renders << " renders, " << raises << " raised errors");
  CHECK(templates >= 46);
  CHECK(renders >= 461);
  CHECK(raises >= 9);
}

// tests/cases/jinja is written by tools/golden/make_jinja_cases.py.
TEST_CASE("small Jinja programs give what Jinja2 gives, and fail where it fails") {
  const Json file =
      parse_json(read_text_file(CRIA_SOURCE_DIR "/tests/cases/jinja/cases.json", 1 << 20));
  std::map<std::string, int> groups;
  for (const Json& c : file["cases"]) {
    ++groups[c["group"].get<std::string>()];
    CAPTURE(c["group"].get<std::string>());
    CAPTURE(c["template"].get<std::string>());
    Json variables = file["data"];
    if (const Json* own = json_find(c, "variables"); own != nullptr) variables.update(*own);
    std::string out, message;
    try {
      out = jinja::Template::parse(c["template"].get<std::string>())
                .render(variables, {.now = fixed_time()});
    } catch (const Error& e) {
      message = e.what();
    }
    CAPTURE(message);
    CHECK(message.empty() == c.contains("expected"));
    if (const auto raises = json_string(c, "raises"))
      CHECK(message == *raises);
    else if (c.contains("error"))
      CHECK(message.starts_with("jinja:"));
    if (const auto line = json_integer(c, "line"))
      CHECK(message.starts_with("jinja:" + std::to_string(*line) + ":"));
    if (message.empty()) CHECK(out == json_string(c, "expected").value_or("an error"));
  }
  int total = 0;
  for (const auto& [group, count] : groups) total += count;
  MESSAGE(total << " programs in " << groups.size() << " groups");
  CHECK(total >= 400);
  CHECK(groups.size() >= 20);
}

TEST_CASE("hostile Jinja ends in an error, quickly") {
  const jinja::Limits small{.max_steps = 100'000, .max_output = 1 << 20, .max_memory = 1 << 22};
  const auto dies = [&](const std::string& source) {
    CAPTURE(source.substr(0, 60));
    CHECK_THROWS_AS(jinja::Template::parse(source).render(Json::object(), {.limits = small}),
                    Error);
  };
  const auto repeated = [](std::string_view s, int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += s;
    return out;
  };
  dies("{{ 'a' * 10**9 }}");
  dies("{{ [1] * 10**9 }}");
  dies("{{ 10**19 }}");
  dies("{{ 9223372036854775807 + 1 }}");
  dies("{{ range(10**12) }}");
  dies("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}");
  dies(
      "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% "
      "endfor %}");
  dies(
      "{% set ns = namespace(l=[]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% "
      "endfor %}"
      "{{ ns.l }}");
  dies(
      "{% set ns = namespace(l=[]) %}{% for i in range(30) %}{% set ns.l = [ns.l, ns.l] %}{% "
      "endfor %}"
      "{{ ns.l == ns.l }}");
  dies("{% set a = [] %}{% set _ = a.append(a) %}{{ a }}");
  dies("{% set a = {} %}{% set _ = a.update({'a': a}) %}{{ a|tojson }}");
  dies("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
  dies("{{ '%1000000000d' % 1 }}");
  dies("{{ 'a'|center(10**9) }}");
  dies("{{ 'a'|replace('', 'b' * 1000)|replace('', 'c' * 1000)|replace('', 'd' * 1000) }}");
  dies("{{ " + repeated("(", 100'000));
  dies("{{ " + repeated("[", 100'000));
  dies("{{ " + repeated("-", 100'000) + "1 }}");
  dies("{{ " + repeated("not ", 100'000) + "1 }}");
  dies("{{ 1" + repeated(" + 1", 100'000) + " }}");
  dies("{{ x" + repeated("|upper", 100'000) + " }}");
  dies("{{ 1" + repeated(" if 1 else 1", 100'000) + " }}");
  dies(repeated("{% if 1 %}", 100'000));
  dies(repeated("{% for a in ", 100'000));
  dies("{% set " + repeated("(", 100'000));
  dies(repeated("{{", 100'000));
  dies(repeated("{#", 100'000));
}

TEST_CASE("from_json reads what tojson wrote") {
  const auto t = jinja::Template::parse(
      R"({% set v = '{"a": [1, 2.5, null, "é"], "b": {"c": true}}'|from_json %}{{ v.a[3] }}{{ v.b.c }}{{ v|tojson }})");
  CHECK(t.render(Json::object()) == R"(éTrue{"a": [1, 2.5, null, "é"], "b": {"c": true}})");
}

TEST_CASE("a Jinja error names the line and the column") {
  CHECK_THROWS_WITH_AS(jinja::Template::parse("a\n  {{ x.y }}").render(Json::object()),
                       R"(jinja:2:7: "x" is undefined: it has no "y")", Error);
  CHECK_THROWS_WITH_AS(jinja::Template::parse("a\n{% if x %}"), R"(jinja:2:11: "endif" is missing)",
                       Error);
  CHECK_THROWS_WITH_AS(jinja::Template::parse("{{ x | }}"),
                       R"(jinja:1:8: expected a name, found "}}")", Error);
}

TEST_CASE("on an error what was written before it is known") {
  std::string out;
  CHECK_THROWS_AS(jinja::Template::parse("ab{{ 1 / 0 }}").render_into(out, Json::object()), Error);
  CHECK(out == "ab");
}
