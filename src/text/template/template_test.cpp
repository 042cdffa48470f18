#include "text/template/template.h"

#include "base/error.h"
#include "base/file.h"
#include "tests/skip.h"
#include "text/template/value.h"

#include <doctest/doctest.h>

#include <filesystem>

using namespace cria;
using namespace cria::text;

namespace {

std::string render(std::string_view source, const Json& data = Json::object()) {
  return Template::parse(source).execute(data);
}

std::string error_of(std::string_view source, const Json& data = Json::object()) {
  try {
    Template::parse(source).execute(data);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

std::string repeat(std::string_view s, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += s;
  return out;
}

// What came of one template, beside what Go says.
struct Outcome {
  std::string output, error, message;  // error: "", "parse" or "exec"
};

Outcome run(const std::string& source, const Value& data) {
  Outcome o;
  o.error = "parse";
  try {
    const Template t = Template::parse(source);
    o.error = "exec";
    t.execute_into(o.output, data);
    o.error = "";
  } catch (const Error& e) {
    o.message = e.what();
  }
  return o;
}

// A string, or bytes that are not UTF-8 as {"hex": "ff00"}.
std::string bytes_of(const Json& json) {
  if (json.is_string()) return json.get<std::string>();
  const std::string digits = json.at("hex").get<std::string>();
  std::string out;
  for (size_t i = 0; i + 1 < digits.size(); i += 2)
    out += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  return out;
}

// The data that tools/golden/go_template_cases gave to Go.
Value go_data() {
  const auto tags = [] { return Value::list({Value::string("a"), Value::string("b")}); };
  Value item = Value::structure({.type = "main.item",
                                 .fields = {{"Name", "name", false, Value::string("box <1>")},
                                            {"Tags", "tags", true, tags()},
                                            {"On", "on", false, Value::boolean(true)},
                                            {"Count", "count", false, Value::integer(3)}}});
  const Value plain = Value::from_json(
      parse_json(read_text_file(CRIA_SOURCE_DIR "/tests/cases/gotemplate/data.json", 1 << 20)));
  ValueMap all = plain.as_map();
  all.emplace_back("Item", std::move(item));
  return Value::map(std::move(all));
}

}  // namespace

TEST_CASE("templates behave as Go's text/template on every case made with it") {
  const Value data = go_data();
  int count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(CRIA_SOURCE_DIR "/tests/cases/gotemplate")) {
    if (entry.path().filename() == "data.json") continue;
    const Json file = parse_json(read_text_file(entry.path().string(), 4 << 20));
    for (const Json& c : file["cases"]) {
      const std::string source = bytes_of(c[0]);
      const Outcome o = run(source, data);
      const bool fails = c.size() > 2;
      const std::string error = fails ? c[2].get<std::string>() : "";
      INFO(entry.path().filename().string(), ": ", source, "\n", o.message);
      CHECK(o.output == bytes_of(c[1]));
      CHECK(o.error == error);
      ++count;
      if (!fails || o.error != error) continue;
      const int line = c[3].get<int>(), column = c[4].get<int>();
      CHECK(o.message.starts_with(column > 0 ? fmt::format("template:{}:{}: ", line, column)
                                             : fmt::format("template:{}:", line)));
    }
  }
  MESSAGE(count, " templates rendered as Go does");
  CHECK(count >= 4000);
}

TEST_CASE("templates behave as Go's text/template on the shared cases") {
  const std::string path = CRIA_SHARED_DIR "/data/templates/go/cases.json";
  if (!std::filesystem::exists(path)) {
    test::skip("no shared data at " + path);
    return;
  }
  const Json file = parse_json(read_text_file(path, 1 << 20));
  const Value data = Value::from_json(file["data"]);
  for (const Json& c : file["cases"]) {
    CAPTURE(c["name"].get<std::string>());
    const Outcome o = run(c["template"].get<std::string>(), data);
    CAPTURE(o.message);
    CHECK(o.error == json_string(c, "error").value_or(""));
    CHECK(o.output == c["expected"].get<std::string>());
  }
}

TEST_CASE("printf follows Go's verbs, flags and complaints") {
  const Json data =
      parse_json(R"({"L":["x",1,null,true],"M":{"a":1.5,"b":[1]},"Z":12345678901,"N":null})");
  CHECK(render(R"({{printf "%v|%q|%d|%s" .L .L .L .L}})", data) ==
        "[x 1 <nil> true]|[\"x\" %!q(float64=1) <nil> %!q(bool=true)]|[%!d(string=x) "
        "%!d(float64=1) <nil> "
        "%!d(bool=true)]|[x %!s(float64=1) <nil> %!s(bool=true)]");
  CHECK(render(R"({{printf "%#v" .M}})", data) ==
        R"(map[string]interface {}{"a":1.5, "b":[]interface {}{1}})");
  CHECK(render(R"({{printf "%v|%s|%d" .N .N .Nope}} {{print .N}} {{.Z}})", data) ==
        "<nil>|%!s(<nil>)|%!d(<nil>) <nil> 1.2345678901e+10");
  CHECK(
      render(
          R"({{printf "%c|%U|%#U|%o|%b|%X|%+d|% d|%#x|% x|%#q|%+q" 65 65 128512 8 5 255 3 4 255 "hi" "hi" "é"}})") ==
      "A|U+0041|U+1F600 '😀'|10|101|FF|+3| 4|0xff|68 69|`hi`|\"\\u00e9\"");
  CHECK(render(
            R"({{printf "%[2]v %[1]v" "a" "b"}} {{printf "%*d|%-*d|%.*f" 5 42 5 42 2 3.14159}})") ==
        "b a    42|42   |3.14");
  CHECK(render(R"({{printf "%!|%z|%" 1}} {{printf "%1000000000d" 5}})") ==
        "%!!(int=1)|%!z(MISSING)|%!(NOVERB) %!(NOVERB)%!(EXTRA int=5)");
  CHECK(render(R"({{printf "%5t|%08.3f|%+.2e|%6d|%-6d|" true 3.14159 12345.678 -42 -42}})") ==
        " true|0003.142|+1.23e+04|   -42|-42   |");
  CHECK(render(R"({{printf "%05s|%05d|%05v|%x|%X" "ab" -42 7 -255 3.5}})") ==
        "000ab|-0042|00007|-ff|0X1.CP+01");
  CHECK(render(R"({{printf "%q %c %v %d %T" 'a' 'b' 'c' 'd' 'e'}} {{index "abc" 1}})") ==
        "'a' b 99 100 int 98");
  CHECK(render(R"({{printf "%6.3d|%.0d|%-010d|%+05d" 7 0 5 7}})") == "   007||5         |+0007");
  CHECK(render(R"({{printf "%.3v|%10.3v|" "abcdef" .L}})", data) ==
        "abc|[         x          1 <nil>       true]|");
  CHECK(render(R"({{printf "%e %G %E %g" 1e10 1e-10 1.0 1e6}})") ==
        "1.000000e+10 1E-10 1.000000E+00 1e+06");
}

TEST_CASE("a struct prints, serialises and refuses unknown fields as Go's would") {
  const Value s = Value::structure({.type = "api.X",
                                    .fields = {{"Name", "name", false, Value::string("n<")},
                                               {"Empty", "empty", true, Value::string("")}}});
  CHECK(Template::parse("{{.}}|{{json .}}|{{printf \"%+v\" .}}|{{.Name}}").execute(s) ==
        "{n< }|{\"name\":\"n\\u003c\"}|{Name:n< Empty:}|n<");
  CHECK_THROWS_WITH_AS(Template::parse("{{.Nope}}").execute(s),
                       "template:1:3: can't evaluate field Nope in type api.X", Error);
}

TEST_CASE("an error names the line and the column") {
  CHECK(error_of("a\nb {{ nosuch }}") == "template:2:6: function \"nosuch\" not defined");
  CHECK(error_of("{{ if .a }}\n{{ len .a }}{{ len nil }}{{ end }}", Json::parse(R"({"a":"x"})")) ==
        "template:2:16: error calling len: len of nil pointer");
}

TEST_CASE("cut_after leaves nothing behind the answer") {
  Template t = Template::parse(
      "{{if .P}}<{{.P}}>{{else}}no{{end}}{{if .Response}}A{{.Response}}B{{else}}C{{end}}D");
  t.cut_after("Response");
  CHECK(t.execute(Json::parse(R"({"P":"p","Response":"r"})")) == "<p>Ar");
  CHECK(t.execute(Json::parse(R"({"P":"p"})")) == "<p>");
}

TEST_CASE("hostile templates end in an error, quickly") {
  const TemplateLimits small{.max_steps = 100'000, .max_output = 1 << 20};
  const auto dies = [&](const std::string& source) {
    CAPTURE(source.substr(0, 60));
    CHECK_THROWS_AS(Template::parse(source).execute(Json::object(), small), Error);
  };
  dies(repeat("{{", 1'000'000));
  dies("{{" + repeat("(", 1'000'000));
  dies(repeat("{{if 1}}", 100'000));
  dies("{{if 1}}" + repeat("{{else if 1}}", 100'000) + "{{end}}");
  dies("{{range 1000}}{{range 1000}}{{range 1000}}{{end}}{{end}}{{end}}");
  dies("{{range 9223372036854775807}}{{end}}");
  dies("{{define \"a\"}}{{template \"a\" .}}{{end}}{{template \"a\" .}}");
  dies("{{range 1000}}{{printf \"%100000d\" 1}}{{end}}");
  dies("{{$x := \"ab\"}}{{range 100}}{{$x = printf \"%s%s\" $x $x}}{{end}}");
  dies("{{" + repeat("$a := ", 100'000) + "}}");
  dies(repeat("{{$a := 1}}", 100'000));
}
