#include "text/grammar/grammar.h"

#include "base/error.h"
#include "text/grammar/schema_keywords.h"
#include "text/grammar/token_mask.h"

#include <doctest/doctest.h>

#include <chrono>
#include <random>
#include <regex>

namespace cria::grammar {
namespace {

Grammar of(const char* format) {
  return Grammar::compile(parse_json(format));
}

std::string failure(const Json& format) {
  try {
    Grammar::compile(format);
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

void check(Grammar grammar, std::initializer_list<std::string_view> yes,
           std::initializer_list<std::string_view> no) {
  for (const std::string_view text : yes)
    CHECK_MESSAGE(grammar.accepts(text), "not matched: ", text);
  for (const std::string_view text : no) CHECK_MESSAGE(!grammar.accepts(text), "matched: ", text);
}

TEST_CASE("\"json\" is any object in valid JSON") {
  check(of(R"("json")"),
        {R"({})", R"({"a": [1, -2.5e3, true, null, "x\n\u0001", {}]})",
         "{\n  \"ü\": \"\xF0\x9F\x98\x80\"\n}"},
        {"", "[]", "1", R"({"a")", R"({"a":01})", "{\"a\":\"\n\"}", "{\"a\":\"\xC3\"}",
         R"({"a":"\x"})", R"({} )", R"({"a":1,})", R"({,"a":1})", "{\"a\":\"\xED\xA0\x80\"}"});
}

TEST_CASE("an object has its properties in order, the required ones always") {
  check(of(R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"},
               "c":{"enum":["x","y"]}},"required":["b"]})"),
        {R"({"a":1,"b":"","c":"x"})", R"({"b":"q"})", R"({"b":"q", "c":"y"})",
         R"({ "a":-7,"b":"" })"},
        {R"({})", R"({"a":1})", R"({"b":"","a":1})", R"({"b":1})", R"({"b":"","c":"z"})",
         R"({"b":"","d":1})", R"({"a":1.5,"b":""})", R"({"a":1,"b":"",})"});
  check(of(R"({"properties":{"a":{}},"additionalProperties":{"type":"integer"}})"),
        {R"({"a":"x","b":1,"c":2})", R"({"b":1})", R"({"ab":1})", R"({})"},
        {R"({"b":1,"a":"x"})", R"({"b":"x"})"});
}

TEST_CASE("numbers keep their bounds: compared with arithmetic") {
  std::mt19937 random(1);
  const auto pick = [&](int most) {
    return static_cast<int>(random() % static_cast<unsigned>(most));
  };
  for (int round = 0; round < 60; ++round) {
    const double least = (pick(4000) - 2000) / (round % 2 ? 8.0 : 1.0);
    const double most = least + pick(3000) / 8.0;
    const bool strict = pick(2) == 0, whole = pick(2) == 0;
    const Json format = {{"type", whole ? "integer" : "number"},
                         {strict ? "exclusiveMinimum" : "minimum", least},
                         {strict ? "exclusiveMaximum" : "maximum", most}};
    std::optional<Grammar> grammar;
    if (failure(format) == "nothing was thrown") grammar = Grammar::compile(format);
    for (int i = 0; i < 200; ++i) {
      const double value = least + (pick(4000) - 500) / (whole ? 1.0 : 16.0);
      const double number = whole ? std::floor(value) : value;
      const bool right =
          strict ? number > least && number < most : number >= least && number <= most;
      const Json text = whole ? Json(static_cast<int64_t>(number)) : Json(number);
      INFO(dump_json(format), " ", dump_json(text));
      const bool matched = grammar && grammar->accepts(dump_json(text));
      if (number != 0 || !std::signbit(number)) CHECK(matched == right);
    }
  }
}

TEST_CASE("multiples within bounds: compared with arithmetic") {
  std::mt19937 random(7);
  const auto pick = [&](int most) {
    return static_cast<int>(random() % static_cast<unsigned>(most));
  };
  constexpr auto kDivisors =
      std::to_array<double>({1, 2, 3, 7, 10, 12, 60, 97, 1000, 0.5, 0.25, 1.5, 0.375, 0.125, 2.5});
  for (int round = 0; round < 90; ++round) {
    const double divisor = kDivisors[static_cast<size_t>(round) % kDivisors.size()];
    const double least = pick(4000) - 2000, most = least + 2 * divisor + pick(3000);
    const bool whole = pick(3) == 0, bounded = pick(3) > 0;
    Json format = {{"type", whole ? "integer" : "number"}, {"multipleOf", divisor}};
    if (bounded) format.update({{"minimum", least}, {"maximum", most}});
    Grammar grammar = Grammar::compile(format);
    for (int i = 0; i < 200; ++i) {
      const double value = i % 2 ? divisor * (pick(4000) - 2000) : least + pick(40000) / 8.0;
      const double quotient = value / divisor;
      const bool right = quotient == std::floor(quotient) &&
                         (!whole || value == std::floor(value)) &&
                         (!bounded || (value >= least && value <= most));
      const std::string text = dump_json(canonical(Json(value)));
      INFO(dump_json(format), " ", text);
      CHECK(grammar.accepts(text) == right);
    }
  }
}

TEST_CASE("multiples of several divisors, and those that are refused") {
  check(of(R"({"type":"integer","allOf":[{"multipleOf":4},{"multipleOf":6}]})"), {"0", "12", "-24"},
        {"00", "012", "4", "6", "8", "-0.0"});
  check(of(R"({"allOf":[{"multipleOf":0.5},{"multipleOf":3}]})"), {"3", "-6"}, {"1.5", "4"});
  check(of(R"({"type":"integer","multipleOf":3600,"minimum":1,"maximum":86400})"),
        {"3600", "86400"}, {"0", "1800", "90000"});
  check(of(R"({"multipleOf":0.25})"), {"0.25", "-1.50", "7", "99999.75"},
        {"0.1", "0.250", "1e3", "0.255"});
  check(of(R"({"enum":[1,2,3,4,5,6],"multipleOf":3})"), {"3", "6"}, {"1", "2", "0", "9"});
  check(of(R"({"oneOf":[{"type":"integer","multipleOf":2},{"type":"integer","enum":[1,3]}]})"),
        {"1", "4"}, {"5"});
  check(of(R"({"type":"number","format":"int32"})"), {"5", "-2147483648"},
        {"1.5", "1e9", "2147483648"});
  check(of(R"({"enum":[1e15,"x"],"if":{"type":"integer"},"then":false})"), {"\"x\""},
        {"1000000000000000", "1e15"});
  CHECK(failure(parse_json(R"({"multipleOf":0})")).find("must be a number above 0") !=
        std::string::npos);
  CHECK(failure(parse_json(R"({"properties":{"p":{"multipleOf":0.01}}})"))
            .find("#/properties/p: \"multipleOf\": 0.01 is not supported: it is no binary") !=
        std::string::npos);
  CHECK(failure(parse_json(R"({"multipleOf":4099})")).find("it may be at most 1024") !=
        std::string::npos);
  CHECK(failure(parse_json(R"({"allOf":[{"multipleOf":1009},{"multipleOf":1013}]})"))
            .find("\"multipleOf\": 1013 is not supported") != std::string::npos);
}

TEST_CASE("a pattern matches what std::regex finds") {
  const auto patterns = std::to_array<const char*>(
      {"a", "^a", "a$", "^(ab|c)*$", "^a{2,3}$", "[^ab]", "^\\d+-\\w*$", "a.c", "^$", "^a|b$",
       "^[a-c]+?b$", "(?:ab)+", "^(a|ab)(c|bcd)$", "^\\s?[-a]\\S$"});
  std::mt19937 random(2);
  for (const char* pattern : patterns) {
    Grammar grammar = Grammar::compile({{"type", "string"}, {"pattern", pattern}});
    const std::regex oracle(pattern);
    for (int i = 0; i < 400; ++i) {
      std::string text;
      for (auto n = random() % 6; n > 0; --n) text += "abcd-1 "[random() % 7];
      INFO(pattern, " ", text);
      CHECK(grammar.accepts('"' + text + '"') == std::regex_search(text, oracle));
    }
  }
}

TEST_CASE("length counts characters, and conditions on one string hold together") {
  check(of(R"({"type":"string","minLength":2,"maxLength":3})"),
        {R"("ab")", R"("üü\n")", "\"\xF0\x9F\x98\x80z\""}, {R"("a")", R"("abcd")", R"("ü")"});
  check(of(R"({"type":"string","pattern":"^a+$","maxLength":3,"minLength":2})"),
        {R"("aa")", R"("aaa")"}, {R"("a")", R"("aaaa")", R"("ab")"});
  CHECK(failure(parse_json(R"({"type":"string","pattern":"^a{5}$","maxLength":3})")) ==
        "invalid format: no text matches it");
}

TEST_CASE("formats of strings") {
  check(of(R"({"format":"date"})"), {R"("2024-02-29")", R"("1999-12-31")", R"("2000-02-29")"},
        {R"("2023-02-29")", R"("1900-02-29")", R"("2024-04-31")", R"("2024-13-01")",
         R"("2024-1-1")"});
  check(of(R"({"format":"date-time"})"),
        {R"("2024-01-01T00:00:00Z")", R"("2024-01-01T23:59:59.5+02:00")"},
        {R"("2024-01-01")", R"("2024-01-01T24:00:00Z")", R"("2024-01-01T00:00:00")"});
  check(of(R"({"format":"ipv4"})"), {R"("0.0.0.0")", R"("255.10.1.99")"},
        {R"("256.0.0.0")", R"("1.2.3")", R"("01.2.3.4")"});
  check(of(R"({"format":"ipv6"})"),
        {R"("::")", R"("::1")", R"("1:2:3:4:5:6:7:8")", R"("fe80::1")", R"("1::")"},
        {R"("1:2:3:4:5:6:7")", R"("1::2::3")", R"("12345::")", R"(":1")"});
  check(of(R"({"format":"uuid"})"), {R"("123e4567-e89b-12d3-a456-426614174000")"},
        {R"("123e4567e89b12d3a456426614174000")"});
  check(of(R"({"format":"email"})"), {R"("joe.bloggs@example.com")"},
        {R"("2962")", R"("a@@b")", R"(".a@b.c")"});
  check(of(R"({"format":"json-pointer"})"), {R"("")", R"("/")", R"("/a~0b/~1//0")", R"("/ü x")"},
        {R"("a")", R"("/~")", R"("/~2")", R"("#/a")"});
  check(of(R"({"format":"relative-json-pointer"})"), {R"("0")", R"("12#")", R"("1/a/b")"},
        {R"("")", R"("-1")", R"("01")", R"("1a")", R"("0##")"});
  check(of(R"({"format":"uri-reference"})"),
        {R"("")", R"("/")", R"("/a/b?c=d#e")", R"("a.html")", R"("#f")", R"("http://x.org/y")"},
        {R"("a:b c")", R"("\\x")", R"("#a#b")", R"("1:2")"});
  check(of(R"({"format":"uri-template"})"),
        {R"("http://x.org/~{user}/{?q*,r:3}")", R"("")", R"("{+a.b}")"},
        {R"("{")", R"("{}")", R"("a}b")", R"("{a:0}")"});
}

TEST_CASE("multiples beside a pattern of many characters are followed wherever they lead") {
  std::string pattern = "^";
  for (char c = '!'; c <= '~'; ++c)
    pattern += std::string("\\x") + "0123456789abcdef"[c / 16] + "0123456789abcdef"[c % 16] + '?';
  for (int c = 0x100; c < 0x180; ++c) pattern += fmt::format("\\u{:04x}?", c);
  std::mt19937 random(3);
  for (const int divisor : {1021, 1024, 997}) {
    Json number = {{"type", "integer"},
                   {"multipleOf", divisor},
                   {"minimum", -123456789012},
                   {"maximum", 987654321098}};
    Grammar grammar = Grammar::compile(
        {{"properties", {{"n", number}, {"s", {{"type", "string"}, {"pattern", pattern}}}}},
         {"required", {"n", "s"}}});
    for (int round = 0; round < 200; ++round) {
      Expr state = grammar.start();
      for (const char c : std::string_view(R"({"n":)"))
        state = grammar.next(state, static_cast<uint8_t>(c));
      for (int digits = 0; digits < 16 && state != kNothing; ++digits)
        state = grammar.next(
            state, static_cast<uint8_t>('0' + (digits == 0 ? 1 + random() % 9 : random() % 10)));
    }
    CHECK(grammar.accepts(fmt::format(R"({{"n":{},"s":"abc"}})", int64_t{divisor} * 123'456'789)));
    CHECK_FALSE(grammar.accepts(
        fmt::format(R"({{"n":{},"s":"abc"}})", int64_t{divisor} * 123'456'789 + 1)));
  }
}

TEST_CASE("formats of pydantic and OpenAPI: those with a grammar, and those that only describe") {
  check(of(R"({"format":"base64"})"), {R"("")", R"("TWFu")", R"("TQ==")", R"("+/8=")"},
        {R"("T")", R"("TWF")", R"("TR==")", R"("TWFu=")", R"("_-8=")"});
  check(of(R"({"format":"base64url"})"), {R"("_-8=")"}, {R"("+/8=")"});
  check(of(R"({"format":"uuid4"})"), {R"("123e4567-e89b-42d3-a456-426614174000")"},
        {R"("123e4567-e89b-12d3-a456-426614174000")", R"("123e4567-e89b-42d3-c456-426614174000")"});
  check(of(R"({"format":"ipv4network"})"),
        {R"("0.0.0.0/0")", R"("10.0.0.0/8")", R"("192.168.1.64/26")", R"("1.2.3.4/32")",
         R"("1.2.3.4")", R"("128.0.0.0/1")"},
        {R"("192.168.1.1/24")", R"("10.0.0.0/33")", R"("0.0.0.1/0")", R"("1.2.3/24")"});
  check(of(R"({"format":"ipv6network"})"),
        {R"("::/0")", R"("2001:db80::/28")", R"("fe80::/10")", R"("8000::/1")", R"("::1/128")",
         R"("1:2:3:4:5:6:7000::/100")"},
        {R"("2001:db8::1/32")", R"("fe80::/8")", R"("::/129")"});
  check(of(R"({"format":"ipv4interface"})"), {R"("192.168.1.1/24")", R"("1.2.3.4")"},
        {R"("1.2.3.4/33")", R"("::1")"});
  check(of(R"({"format":"ipvanyaddress"})"), {R"("1.2.3.4")", R"("::1")"}, {R"("1.2.3")"});
  for (const char* format : {"password", "binary", "path", "file-path", "directory-path"})
    check(Grammar::compile({{"type", "string"}, {"format", format}, {"maxLength", 3}}),
          {R"("")", R"("/ü")"}, {R"("abcd")", "1"});
  check(of(R"({"type":"integer","format":"int8"})"), {"-128", "0", "127"}, {"128", "-129"});
  check(of(R"({"type":"integer","format":"uint64","minimum":3})"), {"3", "18446744073709551615"},
        {"2", "-3", "18446744073709551616"});
  CHECK(failure(parse_json(R"({"type":"string","format":"phone"})")) ==
        "invalid JSON schema in format: \"format\": \"phone\" at # is not supported");
}

TEST_CASE("references may recurse, and what can never be reached is not entered") {
  check(
      of(R"({"$ref":"#/$defs/t","$defs":{"t":{"type":"object","properties":{"v":{"type":"integer"},
        "next":{"$ref":"#/$defs/t"}},"required":["v"]}}})"),
      {R"({"v":1})", R"({"v":1,"next":{"v":2,"next":{"v":3}}})"},
      {R"({"next":{"v":1}})", R"({"v":1,"next":{}})"});
  CHECK(failure(parse_json(R"({"properties":{"a":{"$ref":"#"}},"required":["a"]})")) ==
        "invalid format: no text matches it");
  // b would lead into a dead end: it is not offered.
  Grammar grammar = of(R"({"properties":{"a":{"type":"null"},"b":{"$ref":"#/$defs/loop"}},
      "$defs":{"loop":{"type":"array","items":{"$ref":"#/$defs/loop"},"minItems":1}}})");
  check(grammar, {R"({"a":null})", "{}"}, {});
  Expr state = grammar.start();
  for (const char c : std::string_view("{\"")) state = grammar.next(state, static_cast<uint8_t>(c));
  CHECK(grammar.next(state, 'b') == kNothing);
}

TEST_CASE("allOf, anyOf, oneOf and patternProperties") {
  check(of(R"({"allOf":[{"properties":{"a":{"type":"integer"}},"required":["a"]},
      {"properties":{"b":{"type":"null"},"a":{"minimum":3}}}]})"),
        {R"({"a":3})", R"({"a":9,"b":null})"}, {R"({"a":2})", R"({"b":null})"});
  check(of(R"({"anyOf":[{"type":"string","maxLength":1},{"type":"integer"}]})"), {R"("a")", "3"},
        {R"("ab")", "null"});
  check(
      of(R"({"oneOf":[{"type":"object","properties":{"k":{"const":"a"},"x":{"type":"integer"}},"required":["k"]},
      {"type":"object","properties":{"k":{"const":"b"}},"required":["k"]}]})"),
      {R"({"k":"a","x":1})", R"({"k":"b"})"}, {R"({"k":"b","x":1})", R"({"k":"c"})"});
  CHECK(failure(parse_json(R"({"oneOf":[{"type":"integer"},{"type":"number"}]})"))
            .find("may match the same value") != std::string::npos);
  check(
      of(R"({"patternProperties":{"^n_":{"type":"integer"}},"additionalProperties":{"type":"null"}})"),
      {R"({"n_a":1,"x":null})"}, {R"({"n_a":null})", R"({"x":1})"});
}

TEST_CASE("if, then and else are a choice where the opposite of the condition can be said") {
  check(of(R"({"properties":{"k":{"enum":["a","b"]},"x":{"type":"integer"}},
               "if":{"properties":{"k":{"const":"a"}},"required":["k"]},
               "then":{"required":["x"]},"else":{"properties":{"x":{"maximum":3}}}})"),
        {R"({"k":"a","x":9})", R"({"k":"b","x":3})", R"({"k":"b"})", R"({"x":1})", "{}"},
        {R"({"k":"a"})", R"({"k":"b","x":4})", R"({"x":4})"});
  // Without `required` an object that lacks the key meets the condition.
  check(of(R"({"properties":{"on":{"type":"boolean"},"x":{"type":"null"}},
               "if":{"properties":{"on":{"const":true}}},"then":{"required":["x"]}})"),
        {R"({"on":true,"x":null})", R"({"x":null})", R"({"on":false})"}, {R"({"on":true})", "{}"});
  // The conditions of several parts know what the whole schema says.
  check(of(R"({"properties":{"k":{"$ref":"#/$defs/K"},"x":{"type":"null"},"y":{"type":"null"}},
               "required":["k"],"$defs":{"K":{"enum":[1,2,3]}},"allOf":[
               {"if":{"properties":{"k":{"const":1.0}}},"then":{"required":["x"]}},
               {"if":{"properties":{"k":{"enum":[2,7]}}},"then":{"required":["y"]},
                "else":{"properties":{"y":false}}}]})"),
        {R"({"k":1,"x":null})", R"({"k":2,"y":null})", R"({"k":3})", R"({"k":3,"x":null})"},
        {R"({"k":1})", R"({"k":2})", R"({"k":3,"y":null})", R"({"k":1,"x":null,"y":null})"});
  check(of(R"({"type":["integer","string"],"if":{"type":"string"},"then":{"maxLength":1},
               "else":{"minimum":5}})"),
        {R"("a")", "5"}, {R"("ab")", "4"});
  check(of(R"({"enum":[1,2,3,"a"],"if":{"enum":[1,"a"]},"then":{"type":"string"},
               "else":{"minimum":3}})"),
        {R"("a")", "3"}, {"1", "2"});
  check(of(R"({"type":"string","if":{"pattern":"^a"},"else":false})"), {R"("ab")"}, {R"("b")"});
  check(of(R"({"type":"null","then":{"type":"string"},"else":false})"), {"null"}, {});
  CHECK(failure(parse_json(R"({"properties":{"k":{"type":"string"}},
               "if":{"properties":{"k":{"const":"a"}}},"then":{"required":["x"]}})"))
            .find("\"if\" with constants of a key without \"enum\" at #") != std::string::npos);
  CHECK(failure(parse_json(R"({"type":"string","if":{"pattern":"^a"},"then":{"minLength":3}})"))
            .find("\"if\" with \"pattern\" at # is not") != std::string::npos);
  CHECK(failure(parse_json(R"({"if":{"type":"integer"},"then":{"minimum":3}})"))
            .find("\"if\" with \"type\": \"integer\" at #") != std::string::npos);
}

TEST_CASE("the number of members: declared ones, and one of those that are not") {
  check(of(R"({"properties":{"a":{"type":"null"},"b":{"type":"null"},"c":{"type":"null"}},
               "minProperties":2,"maxProperties":2})"),
        {R"({"a":null,"b":null})", R"({"a":null,"c":null})", R"({"b":null,"c":null})"},
        {"{}", R"({"a":null})", R"({"c":null})", R"({"a":null,"b":null,"c":null})"});
  check(of(R"({"properties":{"a":{"type":"null"},"b":{"type":"null"}},"required":["b"],
               "additionalProperties":{"type":"integer"},"minProperties":2,"maxProperties":3})"),
        {R"({"a":null,"b":null})", R"({"b":null,"x":1})", R"({"a":null,"b":null,"x":1})",
         R"({"b":null,"x":1,"y":2})"},
        {R"({"b":null})", R"({"a":null,"x":1})", R"({"a":null,"b":null,"x":1,"y":2})",
         R"({"b":null,"x":1,"y":2,"z":3})"});
  check(of(R"({"type":"object","additionalProperties":{"type":"integer"},"minProperties":1})"),
        {R"({"x":1})", R"({"x":1,"y":2})"}, {"{}"});
  check(of(R"({"type":"object","maxProperties":1})"), {"{}", R"({"x":1})"}, {R"({"x":1,"y":2})"});
  check(of(R"({"type":"object","maxProperties":0})"), {"{}"}, {R"({"x":1})"});
  // {"x":1,"x":2} has one member.
  CHECK(failure(parse_json(R"({"additionalProperties":true,"minProperties":2})"))
            .find("\"minProperties\" above the number of declared keys and one more at #") !=
        std::string::npos);
  CHECK(failure(parse_json(R"({"properties":{"a":{}},"minProperties":2})"))
            .find("\"minProperties\" above the number of declared keys") != std::string::npos);
  CHECK(failure(parse_json(
            R"({"properties":{"a":{}},"additionalProperties":false,"minProperties":2})")) ==
        "invalid format: no text matches it");
  Json many = {{"type", "object"}, {"minProperties", 500}};
  for (int i = 0; i < 1000; ++i) many["properties"]["p" + std::to_string(i)] = {{"type", "null"}};
  CHECK(failure(many).find("over so many keys") != std::string::npos);
}

TEST_CASE("pydantic's unions with a discriminator are their alternatives") {
  check(of(R"({"discriminator":{"mapping":{"a":"#/$defs/A","b":"#/$defs/B"},"propertyName":"k"},
      "oneOf":[{"$ref":"#/$defs/A"},{"$ref":"#/$defs/B"}],"$defs":{
      "A":{"type":"object","properties":{"k":{"const":"a"},"x":{"type":"integer"}},"required":["k","x"]},
      "B":{"type":"object","properties":{"k":{"const":"b"}},"required":["k"]}}})"),
        {R"({"k":"a","x":1})", R"({"k":"b"})"}, {R"({"k":"a"})", R"({"k":"c"})", "{}"});
  check(of(R"({"type":"string","contentMediaType":"application/json","contentSchema":{}})"),
        {R"("{}")"}, {"{}"});
}

TEST_CASE("what is not supported is refused with its name and place") {
  CHECK(failure(parse_json(R"({"properties":{"a":{"type":"array","uniqueItems":true}}})")) ==
        "invalid JSON schema in format: \"uniqueItems\" at #/properties/a is not supported");
  CHECK(failure(parse_json(R"({"not":{"type":"null"}})")) ==
        "invalid JSON schema in format: \"not\" at # is not supported");
  CHECK(failure(parse_json(R"({"type":"strnig"})")).find("\"type\" at # must be null, boolean") !=
        std::string::npos);
  CHECK(failure(parse_json(R"({"$ref":"#/nowhere"})")).find("which is not there") !=
        std::string::npos);
  CHECK(failure(parse_json(R"({"$ref":"http://x/y"})")).find("only references inside") !=
        std::string::npos);
  CHECK(failure(parse_json(R"({"pattern":"(?=a)b"})")).find("look-ahead") != std::string::npos);
  CHECK(failure(parse_json(R"({"pattern":"a("})")).find("a group is not closed") !=
        std::string::npos);
  CHECK(failure("xml") ==
        R"(invalid format: "xml"; expected "json" or a valid JSON Schema object)");
  CHECK(failure(parse_json(R"({"minLength":-1})")).find("must be a whole number") !=
        std::string::npos);
}

TEST_CASE("GBNF") {
  const auto gbnf = [](const char* text) {
    return Grammar::compile({{"type", "gbnf"}, {"grammar", text}});
  };
  check(gbnf("root ::= item+ # one\nitem ::= \"a\" [0-9]{2} | \"[\" item? \"]\""),
        {"a12", "[]", "[[a00]]a99"}, {"", "a1", "[a1]"});
  check(gbnf("root ::= (\"\\u00fc\" | [^a-z\\n])* \"\\\"\""), {"\"", "üÜ\""}, {"a\"", "\n\""});
  check(gbnf("root ::= x \"b\"\nx ::= y\ny ::= \"\" | \"a\""), {"b", "ab"}, {"aab"});
  const auto wrong = [](const char* text) {
    return failure({{"type", "gbnf"}, {"grammar", text}});
  };
  CHECK(wrong("a ::= \"x\"").find("no rule \"root\"") != std::string::npos);
  CHECK(wrong("root ::= b").find("no rule \"b\"") != std::string::npos);
  CHECK(wrong("root ::= e\ne ::= e \"x\" | \"y\"").find("left recursion") != std::string::npos);
  CHECK(wrong("root ::= n e\nn ::= \"\"\ne ::= n e \"x\" | \"y\"").find("left recursion") !=
        std::string::npos);
  CHECK(wrong("root ::= \"x\" root").find("no text matches") != std::string::npos);
  CHECK(wrong("root ::= \"x").find("not closed") != std::string::npos);
}

TEST_CASE("a regular expression is about the whole answer") {
  check(Grammar::compile({{"type", "regex"}, {"regex", "(yes|no): .{1,5}"}}),
        {"yes: a", "no: üüüüü"}, {"yes: ", "no: abcdef", "xno: a"});
}

TEST_CASE("what a format stands for is made once, however often it is used") {
  Json many = {{"format", "ipvanynetwork"}, {"enum", Json::array()}};
  Json keys = {{"type", "object"}};
  for (int i = 0; i < 10'000; ++i)
    many["enum"].push_back(fmt::format("10.0.{}.{}", i / 256, i % 256));
  for (int i = 0; i < 1'000; ++i)
    keys["properties"][std::to_string(i)] = {{"type", "string"}, {"format", "ipvanynetwork"}};
  CHECK(Grammar::compile(many).accepts("\"10.0.39.15\""));  // half a minute when made anew
  CHECK(Grammar::compile(keys).accepts(R"({"7":"10.0.0.0/8"})"));
}

TEST_CASE("hostile formats end with an error in bounded time") {
  const auto start = std::chrono::steady_clock::now();
  std::string gbnf = "root ::= r0\n";
  for (int i = 0; i < 1500; ++i)
    gbnf += fmt::format("r{} ::= r{} \"a\" | r{} \"b\"\n", i, i + 1, i + 1);
  gbnf += "r1500 ::= \"c\"\n";
  std::vector<Json> formats = {
      {{"type", "gbnf"}, {"grammar", gbnf}},
      {{"type", "regex"}, {"regex", "((a{0,9999}){0,9999}){0,9999}b"}},
      {{"type", "regex"}, {"regex", "(a|aa|aaa)*(a*)*(a?){9999}"}},
      {{"type", "string"}, {"pattern", "(a|b)*a(a|b){40}$"}, {"maxLength", 9999}}};
  for (const Json& format : formats) {
    try {
      Grammar grammar = Grammar::compile(format);
      Expr state = grammar.start();
      for (int i = 0; i < 300 && state != kNothing; ++i)
        state = grammar.next(state, i % 3 ? 'a' : '"');
    } catch (const Error& e) {
      CHECK(e.kind() != ErrorKind::kInternal);
    }
  }
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(60));
}

TEST_CASE("thinking comes first, and its mark ends it") {
  const std::optional<ThinkingMarks> marks = ThinkingMarks{.open = "<think>", .close = "</think>"};
  check(Grammar::compile("json", marks),
        {"<think>a<b {</think>\n\n{}", "{}", "\n<think></think>{}"},
        {"a{}", "<think>{}", "<think>a</think>b</think>{}"});
  const std::optional<ThinkingMarks> inside =
      ThinkingMarks{.open = "<think>", .close = "</think>", .inside = true};
  check(Grammar::compile("json", inside), {"so</think>{}", "</think>{\"a\":1}"}, {"{}", "so"});
}

// Every token is tried byte by byte: the oracle of the masks.
void check_masks(const char* format, std::span<const std::pair<std::string, TokenId>> pieces,
                 std::mt19937& random) {
  const TokenTrie trie(pieces, std::ssize(pieces));
  Grammar grammar = of(format);
  TokenMasks masks(grammar, trie);
  for (int round = 0; round < 10; ++round) {
    Expr state = grammar.start();
    for (int step = 0; step < 12; ++step) {
      const Mask& mask = masks.allowed(state);
      std::vector<std::pair<TokenId, Expr>> right;
      bool same = true;
      for (const auto& [piece, id] : pieces) {
        Expr next = state;
        for (const char c : piece) next = grammar.next(next, static_cast<uint8_t>(c));
        same = same && mask[id] == (next != kNothing);
        if (next != kNothing) right.emplace_back(id, next);
      }
      REQUIRE(same);
      CHECK(mask.any() == !right.empty());
      if (right.empty()) break;
      state = right[random() % right.size()].second;
    }
  }
}

TEST_CASE("a mask allows just the tokens whose bytes the grammar takes") {
  std::vector<std::pair<std::string, TokenId>> pieces;
  std::mt19937 random(3);
  const std::string_view letters = "{}[]\":, \n\\abn01-.e";
  for (TokenId id = 0; id < 4000; ++id) {
    std::string piece;
    for (auto n = 1 + random() % 5; n > 0; --n) piece += letters[random() % letters.size()];
    pieces.emplace_back(piece, id);
  }
  for (
      const char* format :
      {R"("json")", R"({"type":"array","items":{"type":"string","maxLength":3}})",
       R"({"type":"object","properties":{"a":{"type":"number","minimum":0.5},"b":{}}})",
       R"({"type":"array","items":{"anyOf":[{"type":"string","pattern":"^a+b"},{"type":"integer"}]}})"})
    check_masks(format, pieces, random);
}

// Where all characters of a string go on alike the mask is put together instead of walked.
TEST_CASE("masks inside of strings, with tokens that hold characters of all lengths and parts") {
  std::vector<std::pair<std::string, TokenId>> pieces;
  std::mt19937 random(5);
  constexpr auto kParts = std::to_array<std::string_view>({"a",
                                                           "b",
                                                           " ",
                                                           "\"",
                                                           "\"",
                                                           "\\",
                                                           "n",
                                                           "\n",
                                                           "\x1f",
                                                           "\x7f",
                                                           ":",
                                                           ",",
                                                           "]",
                                                           "[",
                                                           "\xc3\xa9",
                                                           "\xd0\x96",
                                                           "\xe4\xb8\xad",
                                                           "\xe0\xa4\x85",
                                                           "\xed\x95\x9c",
                                                           "\xf0\x9f\x99\x82",
                                                           "\xf4\x8f\xbf\xbf",
                                                           "\xe4\xb8",
                                                           "\xe4",
                                                           "\xad",
                                                           "\x80",
                                                           "\xc0",
                                                           "\xf0\x9f",
                                                           "\xf0",
                                                           "\xed\xa0\x80",
                                                           "\xe0\x80",
                                                           "\xf5",
                                                           "\xff"});
  for (TokenId id = 0; id < 4000; ++id) {
    std::string piece;
    for (auto n = 1 + random() % 4; n > 0; --n) piece += kParts[random() % kParts.size()];
    pieces.emplace_back(piece, id);
  }
  for (const char* format :
       {R"({"type":"string"})", R"({"type":"string","maxLength":2})",
        R"({"type":"string","minLength":3,"maxLength":5})",
        R"({"type":"array","items":{"type":"string"}})", R"({"type":"string","pattern":"^[^é]*$"})",
        R"({"type":"string","pattern":"^.*[Ж中]..$"})", R"({"type":"string","pattern":"^[ -~]*$"})",
        R"({"anyOf":[{"type":"string","pattern":"^a.*"},{"type":"string","maxLength":4}]})"})
    check_masks(format, pieces, random);
}

}  // namespace
}  // namespace cria::grammar
