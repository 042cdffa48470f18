#include "base/json.h"

#include "base/error.h"
#include "base/file.h"
#include "tests/kind_of.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <random>

namespace cria {
namespace {

using test::kind_of;

TEST_CASE("JSON that is too deep or too large is refused") {
  CHECK_THROWS_WITH(parse_json(std::string(200, '[') + std::string(200, ']')),
                    "JSON is nested deeper than 128 levels");
  CHECK(kind_of([] { parse_json("[1,2]", {.max_bytes = 4}); }) == ErrorKind::kTooLarge);
  CHECK(parse_json("\"[[[[\\\"[[[\"").get<std::string>() == "[[[[\"[[[");
}

TEST_CASE("what is no JSON is refused in the words of Go's encoding/json") {
  const Json cases =
      parse_json(read_text_file(CRIA_SOURCE_DIR "/tests/cases/json/errors.json", 1 << 20));
  REQUIRE(cases.size() > 40);
  for (const Json& c : cases) {
    const auto text = c["text"].get<std::string>();
    CAPTURE(text);
    CHECK_THROWS_WITH_AS(parse_json(text), c["error"].get<std::string>().c_str(), Error);
  }
  CHECK_THROWS_WITH(parse_json(""), "unexpected EOF");
  CHECK_THROWS_WITH(parse_json("[1e999]"), "json: a number is out of range");
}

TEST_CASE("numbers are written with the fewest digits that read back the same") {
  for (const char* text :
       {"-0.08274894", "0.1", "1.0", "-0.0", "0.00001", "0.000001", "1e-07", "5.8504758e-33",
        "5e-324", "1.7976931348623157e+308", "100000000000000000000.0", "1e+21", "9007199254740993",
        "-7", "0.30000000000000004"})
    CHECK(dump_json(parse_json(text)) == text);
  CHECK(dump_json(Json(std::nan(""))) == "null");
  CHECK(dump_json(Json(-INFINITY)) == "null");
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    const auto value = std::bit_cast<double>(random());
    if (!std::isfinite(value)) continue;
    const std::string text = dump_json(Json(value));
    CHECK(parse_json(text).get<double>() == value);
    CHECK(text.size() <= fmt::format("{:.17g}", value).size() + 2);
  }
}

TEST_CASE("JSON is written on one line, or with a line for each part") {
  const Json json =
      parse_json(R"({"a":[1,{"b":[]}],"c":{},"d":"\u00e9\"\u0001","e":null,"f":true})");
  CHECK(dump_json(json) == R"({"a":[1,{"b":[]}],"c":{},"d":"é\"\u0001","e":null,"f":true})");
  CHECK(dump_json(json, 2) == json.dump(2));
  CHECK(dump_json(json, 0) == json.dump(0));
  CHECK(dump_json(Json("a\xff")) == "\"a\uFFFD\"");
}

TEST_CASE("broken UTF-8 and lone surrogates become U+FFFD, as Go reads them") {
  const auto text = [](std::string_view json) { return parse_json(json).get<std::string>(); };
  CHECK(text("\"a\xff"
             "b\"") == "a\uFFFDb");
  CHECK(text("\"\xe2\x82\"") == "\uFFFD\uFFFD");  // a cut-off character, a sign for each byte
  CHECK(text("\"\xed\xa0\x80\"") == "\uFFFD\uFFFD\uFFFD");  // a surrogate in UTF-8
  CHECK(text(R"("\ud800")") == "\uFFFD");
  CHECK(text(R"("\udc00\ud800x")") == "\uFFFD\uFFFDx");
  CHECK(text(R"("\ud83d\ude00 \\ud800")") == "\U0001F600 \\ud800");
  CHECK(text("\"€\"") == "€");
}

TEST_CASE(
    "objects keep the order of their keys; of equal keys the last value wins at the first place") {
  CHECK(parse_json(R"({"b":1,"a":{"z":[]},"b":{"y":2}})").dump() ==
        R"({"b":{"y":2},"a":{"z":[]}})");
  std::string many = "{", expected = "{";
  for (int i = 0; i < 100; ++i) many += fmt::format("\"k{}\":{},", i % 50, i);
  for (int i = 0; i < 50; ++i) expected += fmt::format("{}\"k{}\":{}", i > 0 ? "," : "", i, i + 50);
  many.back() = '}';
  CHECK(parse_json(many).dump() == expected + "}");
}

// Not a timing: at n² this would take hours, so that the test program's own time limit fails it.
TEST_CASE("an object of a million keys is read in linear time") {
  std::string text = "{";
  for (int i = 0; i < 1000000; ++i) text += fmt::format("\"key{}\":0,", i);
  text.back() = '}';
  CHECK(parse_json(text).size() == 1000000);
}

TEST_CASE("typed JSON access names the field whose type is wrong") {
  const Json object =
      parse_json(R"({"i":3.0,"s":"x","b":true,"n":null,"h":1e300,"u":18446744073709551615})");
  CHECK(json_integer(object, "i") == 3);
  CHECK(json_string(object, "s") == "x");
  CHECK(json_bool(object, "b") == true);
  CHECK_FALSE(json_string(object, "n").has_value());
  CHECK_FALSE(json_string(object, "absent").has_value());
  CHECK(kind_of([&] { json_integer(object, "s"); }) == ErrorKind::kInvalidInput);
  CHECK(kind_of([&] { json_integer(object, "h"); }) == ErrorKind::kInvalidInput);
  CHECK(kind_of([&] { json_integer(object, "u"); }) == ErrorKind::kInvalidInput);
}

}  // namespace
}  // namespace cria
