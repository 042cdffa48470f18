#include "engine/options.h"

#include "base/error.h"

#include <doctest/doctest.h>

namespace cria::engine {
namespace {

std::string refusal(const char* json) {
  try {
    parse_options(parse_json(json));
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kInvalidInput);
    return e.what();
  }
  return "accepted";
}

TEST_CASE("absent and null options keep their defaults") {
  const GenerationOptions options = parse_options(parse_json(R"({"top_k":null})"));
  CHECK(options.sampling.top_k == 40);
  CHECK(options.sampling.temperature == 0.8f);
  CHECK(options.num_predict == -1);
  CHECK(parse_options(Json()).num_keep == 4);
}

TEST_CASE("numbers for counts are cut towards zero") {
  const GenerationOptions options = parse_options(
      parse_json(R"({"top_k":7.9,"seed":18446744073709551615,"stop":["a","","b"],"num_ctx":1})"));
  CHECK(options.sampling.top_k == 7);
  CHECK(options.sampling.seed == -1);
  CHECK(options.stop == std::vector<std::string>{"a", "b"});
}

TEST_CASE("wrong types and values out of range name the option") {
  CHECK(refusal(R"({"temperature":"hot"})") == "option \"temperature\" must be of type float32");
  CHECK(refusal(R"({"top_k":true})") == "option \"top_k\" must be of type integer");
  CHECK(refusal(R"({"stop":"x"})") == "option \"stop\" must be of type array");
  CHECK(refusal(R"({"stop":[1]})") == "option \"stop\" must be of type an array of strings");
  CHECK(refusal(R"({"num_predict":-3})").find("\"num_predict\" is -3") != std::string::npos);
  CHECK(refusal(R"({"num_keep":1e300})").find("\"num_keep\"") != std::string::npos);
  CHECK(refusal(R"({"repeat_penalty":0})").find("above 0") != std::string::npos);
  CHECK(refusal(R"({"min_p":1.5})").find("\"min_p\"") != std::string::npos);
  CHECK(refusal("[1]") == "options must be an object");
}

TEST_CASE("logit_bias is token ids and what is added to their logits") {
  const auto bias =
      parse_options(parse_json(R"({"logit_bias":{"5":-100,"0":1.5}})")).sampling.logit_bias;
  CHECK(bias == std::vector<std::pair<int32_t, float>>{{5, -100.0f}, {0, 1.5f}});
  CHECK(refusal(R"({"logit_bias":[1]})") == "option \"logit_bias\" must be of type object");
  CHECK(refusal(R"({"logit_bias":{"a":1}})").find("\"a\", which is no token id") !=
        std::string::npos);
  CHECK(refusal(R"({"logit_bias":{"99999999999":1}})") != "accepted");
  CHECK(refusal(R"({"logit_bias":{"1":101}})").find("at most 100") != std::string::npos);
  CHECK(refusal(R"({"logit_bias":{"1":"x"}})") != "accepted");
}

TEST_CASE("unknown and retired options are ignored") {
  CHECK(refusal(R"({"mirostat":2,"whatever":{}})") == "accepted");
}

}  // namespace
}  // namespace cria::engine
