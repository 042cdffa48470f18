// Constants beside a "format": what is kept, and what is refused by name.
#include "text/grammar/whole_formats.h"

#include "base/error.h"
#include "text/grammar/grammar.h"

#include <doctest/doctest.h>

#include <array>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace cria::grammar {
namespace {

std::string failure(const Json& format) {
  try {
    Grammar::compile(format);
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

void check(const Json& format, std::initializer_list<std::string_view> yes,
           std::initializer_list<std::string_view> no) {
  Grammar grammar = Grammar::compile(format);
  for (const std::string_view text : yes) CHECK_MESSAGE(grammar.accepts(text), text);
  for (const std::string_view text : no) CHECK_MESSAGE(!grammar.accepts(text), text);
}

TEST_CASE("a constant beside a format is kept where the format's standard allows it") {
  const auto all = std::to_array<std::pair<const char*, std::vector<const char*>>>(
      {{"uri",
        {"https://example.com/a%20b?q=100%25", "mailto:joe@example.com", "urn:isbn:0451450523",
         "http://u:p@[::ffff:1.2.3.4]:80/", "HTTP://EXAMPLE.COM", "file:///etc/hosts"}},
       {"uri-reference", {"a%20b", "//host/x", "?q", "../x:y"}},
       {"iri", {"https://exämple.org/straße"}},
       {"email", {"\"joe bloggs\"@example.com", "joe!x@[127.0.0.1]", "a.b.c.d@example.com"}},
       {"idn-email", {"jürgen@exämple.org"}},
       {"hostname", {"a-b-c-d.example.com", "xn--nxasmq6b.example"}},
       {"idn-hostname", {"exämple.org"}},
       {"ipv6", {"::ffff:192.0.2.1", "1:2:3:4:5:6:1.2.3.4"}},
       {"time", {"23:59:60Z", "12:00:00.1234567890z"}},
       {"date-time", {"2024-02-29t12:00:00z"}},
       {"duration", {"P1234567890D"}},
       {"uri-template", {"/a/{+path}/ü%20", "{=x}"}},
       {"relative-json-pointer", {"10", "0+1/a"}}});
  for (const auto& [format, texts] : all)
    for (const char* text : texts) {
      INFO(format, " ", text);
      const Json other = {{"enum", {text}}, {"format", format}, {"minLength", 2}};
      for (const Json& schema : {Json{{"const", text}, {"format", format}}, other}) {
        REQUIRE(failure(schema) == "nothing was thrown");
        CHECK(Grammar::compile(schema).accepts(dump_json(Json(text))));
      }
    }
  check({{"propertyNames", {{"enum", {"a:b%20c"}}, {"format", "uri"}}},
         {"additionalProperties", {{"type", "null"}}}},
        {R"({"a:b%20c":null})"}, {R"({"a:b":null})"});
}

TEST_CASE("a constant that is none of its format is refused by name, not left out") {
  const auto all = std::to_array<std::pair<const char*, std::vector<const char*>>>(
      {{"uri", {"100%", "no uri", "http://a/%zz", "http://[1::2::3]/", "/path"}},
       {"uri-reference", {"a b", "1:2", "%"}},
       {"email", {"joe", "a..b@example.com", "joe@"}},
       {"hostname", {"-a", "a_b", "a..b", "exämple.org"}},
       {"ipv6", {"1:2:3:4:5:6:7:1.2.3.4", "::1.2.3"}},
       {"time", {"22:59:60Z", "24:00:00Z", "12:00:00"}},
       {"date", {"2023-02-29"}},
       {"uuid", {"123"}},
       {"duration", {"P", "P1DT"}},
       {"uri-template", {"{", "a b"}},
       {"relative-json-pointer", {"01", "-1"}}});
  for (const auto& [format, texts] : all)
    for (const char* text : texts) {
      const std::string said = "invalid JSON schema in format: the constant " +
                               dump_json(Json(text)) + " at #/properties/p is no \"" + format +
                               "\", which its \"format\" asks for";
      const Json part = {{"enum", {"", text}}, {"format", format}, {"minLength", 1}};
      CHECK(failure({{"properties", {{"p", part}}}}) == said);
    }
  CHECK(failure(parse_json(R"({"enum":[1,300],"format":"int8"})"))
            .find("the constant 300 at # is no \"int8\"") != std::string::npos);
  CHECK(failure(parse_json(R"({"propertyNames":{"enum":["%"],"format":"uri"}})"))
            .find("the constant \"%\" at #/propertyNames is no \"uri\"") != std::string::npos);
  // What other keywords exclude, and what belongs to another alternative, is not missed.
  check(parse_json(R"({"enum":["%","http://a.b/c"],"format":"uri","minLength":3})"),
        {R"("http://a.b/c")"}, {R"("%")"});
  check(parse_json(R"({"enum":["%","http://a.b/%20"],"anyOf":[{"format":"uri"},{"maxLength":1}]})"),
        {R"("%")", R"("http://a.b/%20")"}, {R"("x")"});
  check(parse_json(R"({"enum":[5,"2024-01-01"],"format":"date"})"), {"5", R"("2024-01-01")"},
        {"6"});
}

}  // namespace
}  // namespace cria::grammar
