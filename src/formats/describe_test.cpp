#include "formats/describe.h"

#include <doctest/doctest.h>

#include <cmath>

namespace cria::formats {
namespace {

ModelFile sample() {
  ModelFile model;
  model.path = "a.gguf";
  const auto add = [&](std::string key, Value value) {
    model.metadata.emplace_back(std::move(key), std::move(value));
  };
  add("general.architecture", {.data = std::string("llama"), .gguf_type = 8});
  add("n", {.data = int64_t{-7}, .gguf_type = 5});
  add("list", {.data = std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8},
               .gguf_type = 9,
               .gguf_element_type = 5});
  add("flags", {.data = std::vector<bool>{true, false}, .gguf_type = 9, .gguf_element_type = 7});
  add("nan", {.data = std::nan(""), .gguf_type = 6});
  add("eps", {.data = double{1e-5f}, .gguf_type = 6});
  add("evil", {.data = std::string("\x1b[2J\x7f\xc2\x9b\xff"), .gguf_type = 8});
  add("long", {.data = std::string(159, 'x') + "\xc3\xa9 and more", .gguf_type = 8});
  model.tensors.push_back({.name = "w",
                           .dtype = quant::DType::kQ4_0,
                           .shape = {32, 2, 1, 1},
                           .rank = 2,
                           .file = nullptr,
                           .offset = 64,
                           .bytes = 36});
  return model;
}

TEST_CASE(
    "the text names every entry, shortens lists and strings, and escapes control characters") {
  const std::string text = describe_text(sample());
  CAPTURE(text);
  const auto has = [&](std::string_view part) { return text.find(part) != std::string::npos; };
  CHECK(has("string   general.architecture = \"llama\""));
  CHECK(has("i32      n = -7"));
  CHECK(has("i32[]    list = [1, 2, 3, 4, 5, 6, ... 8 in all]"));
  CHECK(has("f32      eps = 1e-05"));
  CHECK(has("f32      nan = nan"));
  CHECK(has("flags = [true, false]"));
  CHECK(has("\\u001b[2J\\u007f\\u009b\xef\xbf\xbd"));
  CHECK(has(std::string(159, 'x') + "\"... (170 bytes)"));
  CHECK(has("tensors: 1, 64 parameters, 36 bytes"));
  CHECK(has("Q4_0"));
  CHECK(has("[32 x 2]"));
  CHECK(text.find('\x1b') == std::string::npos);
}

TEST_CASE("the JSON has the same facts as values") {
  const Json json = describe_json(sample());
  CHECK(json["parameters"] == 64);
  CHECK(json["metadata"]["n"] == -7);
  CHECK(json["metadata"]["list"]["count"] == 8);
  CHECK(json["metadata"]["list"]["first"].size() == 6);
  CHECK(json["metadata"]["flags"] == Json::array({true, false}));
  CHECK(json["metadata"]["nan"].is_null());
  CHECK(json["metadata"]["long"]["bytes"] == 170);
  CHECK(json["tensors"][0]["shape"] == Json::array({32, 2}));
  CHECK(json["tensors"][0]["type"] == "Q4_0");
}

}  // namespace
}  // namespace cria::formats
