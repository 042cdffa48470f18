// What a file may claim, and what is said when it claims too much.

#include "base/error.h"
#include "models/convert.h"
#include "models/model.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>

namespace cria::models {
namespace {

using formats::ModelFile;
using formats::Value;

// Two layers of width 32, 4 heads on 2, all tensors of llama; no content, only shapes.
ModelFile small(const std::string& architecture = "llama") {
  ModelFile file{.path = "small"};
  const auto size = [&](const std::string& key, int64_t value) {
    file.metadata.emplace_back(architecture + "." + key, Value{.data = value});
  };
  file.metadata.emplace_back("general.architecture", Value{.data = architecture});
  size("context_length", 128);
  size("embedding_length", 32);
  size("block_count", 2);
  size("feed_forward_length", 64);
  size("attention.head_count", 4);
  size("attention.head_count_kv", 2);
  file.metadata.emplace_back(architecture + ".attention.layer_norm_rms_epsilon",
                             Value{.data = 1e-5});
  const auto tensor = [&](const std::string& name, int64_t fast, int64_t slow) {
    file.tensors.push_back({.name = name + ".weight",
                            .dtype = quant::DType::kF32,
                            .shape = {fast, slow, 1, 1},
                            .rank = 2,
                            .bytes = fast * slow * 4});
  };
  tensor("token_embd", 32, 100);
  tensor("output_norm", 32, 1);
  for (const std::string block : {"blk.0.", "blk.1."}) {
    for (const char* norm : {"attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm"})
      tensor(block + norm, 32, 1);
    tensor(block + "attn_q_norm", 8, 1);
    tensor(block + "attn_k_norm", 8, 1);
    tensor(block + "attn_q", 32, 32);
    tensor(block + "attn_k", 32, 16);
    tensor(block + "attn_v", 32, 16);
    tensor(block + "attn_output", 32, 32);
    tensor(block + "ffn_gate", 32, 64);
    tensor(block + "ffn_up", 32, 64);
    tensor(block + "ffn_down", 64, 32);
  }
  return file;
}

LoadedModel load(ModelFile file) {
  return load_model(std::make_shared<ModelFile>(std::move(file)), 4);
}

std::string error_of(ModelFile file) {
  try {
    load(std::move(file));
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

std::string error_with(const std::string& key, decltype(Value::data) value,
                       const std::string& architecture = "llama") {
  ModelFile file = small(architecture);
  std::erase_if(file.metadata, [&](const auto& entry) { return entry.first == key; });
  file.metadata.emplace_back(key, Value{.data = std::move(value)});
  return error_of(std::move(file));
}

std::string error_with_tensor(const std::string& name, const std::array<int64_t, 4>& shape) {
  ModelFile file = small();
  for (formats::TensorInfo& tensor : file.tensors)
    if (tensor.name == name) tensor.shape = shape;
  return error_of(std::move(file));
}

}  // namespace

TEST_CASE("every architecture loads from its tensors") {
  for (const char* name : {"llama", "mistral3", "smollm3", "qwen2", "qwen3", "gemma3"}) {
    CAPTURE(std::string(name));
    const LoadedModel model = load(small(name));
    CHECK(model.architecture == name);
    CHECK(model.vocabulary == 100);
    CHECK(model.context_length == 128);
    CHECK(model.layers == 2);
    CHECK(model.kv.layers.size() == 2);
    CHECK(model.kv.layers[1].kv_heads == 2);
    CHECK(model.graph->result()->shape == ml::Shape{100, 4, 1, 1});
  }
}

TEST_CASE("an unknown architecture is refused with the known ones") {
  CHECK(
      error_of(small("quantum")) ==
      "small: the architecture \"quantum\" is not supported; known are: llama, mistral3, smollm3, "
      "qwen2, qwen3, gemma3, bert");
  CHECK(error_of({.path = "empty"}) ==
        "empty: the model file lacks the key \"general.architecture\"");
}

TEST_CASE("counts that cannot be are refused with key, value and limit") {
  const std::string range = ", expected 1 to 2147483647";
  for (const char* key :
       {"block_count", "context_length", "embedding_length", "feed_forward_length",
        "attention.head_count", "attention.head_count_kv"}) {
    const std::string full = std::string("llama.") + key;
    CHECK(error_with(full, int64_t{0}) == "small: " + full + " is 0" + range);
    CHECK(error_with(full, int64_t{-3}) == "small: " + full + " is -3" + range);
    CHECK(error_with(full, int64_t{1} << 31) == "small: " + full + " is 2147483648" + range);
    CHECK(error_with(full, UINT64_MAX) == "small: " + full + " is 9223372036854775807" + range);
    CHECK(error_with(full, std::string("many")) == "small: " + full + " is not an integer");
  }
}

TEST_CASE("heads that do not divide are refused") {
  CHECK(error_with("llama.attention.head_count", int64_t{5}) ==
        "small: llama.embedding_length 32 is not a multiple of head_count 5");
  CHECK(error_with("llama.attention.head_count_kv", int64_t{3}) ==
        "small: llama.attention.head_count 4 is not a multiple of head_count_kv 3");
  CHECK(error_with("llama.attention.value_length", int64_t{16}) ==
        "small: llama: value_length 16 differs from key_length 8");
}

TEST_CASE("numbers that are none are refused") {
  const std::string eps = "llama.attention.layer_norm_rms_epsilon";
  CHECK(error_with(eps, std::numeric_limits<double>::quiet_NaN()) ==
        "small: " + eps + " is nan, expected a finite number");
  CHECK(error_with(eps, 1e300) == "small: " + eps + " is 1e+300, expected a finite number");
  CHECK(error_with(eps, -1.0) == "small: " + eps + " is -1, expected 0 or more");
  CHECK(error_with("llama.rope.freq_base", 0.0) ==
        "small: rope: base frequency 0 is not a positive number");
  CHECK(error_with("llama.rope.scaling.factor", -2.0) ==
        "small: llama.rope.scaling.factor is -2, expected a positive number");
  CHECK(error_with("llama.rope.dimension_count", int64_t{7}) ==
        "small: rope: 7 dimensions of heads of 8");
  CHECK(error_with("llama.rope.dimension_count", int64_t{10}) ==
        "small: rope: 10 dimensions of heads of 8");
  CHECK(error_with("llama.rope.scaling.type", std::string("longrope")) ==
        "small: llama.rope.scaling.type \"longrope\" is not supported (none, linear, yarn)");
}

TEST_CASE("a missing tensor is named") {
  ModelFile file = small();
  std::erase_if(file.tensors, [](const auto& t) { return t.name == "blk.1.ffn_up.weight"; });
  CHECK(error_of(std::move(file)) ==
        "small: the model file lacks the tensor \"blk.1.ffn_up.weight\"");
}

TEST_CASE("a billion layers are believed only as far as there are tensors") {
  CHECK(error_with("llama.block_count", int64_t{1000000000}) ==
        "small: the model file lacks the tensor \"blk.2.attn_norm.weight\"");
}

TEST_CASE("a tensor of another shape is named with both shapes") {
  CHECK(error_with_tensor("blk.0.attn_k.weight", {32, 24, 1, 1}) ==
        "small: the tensor \"blk.0.attn_k.weight\" has the shape [32, 24, 1, 1], expected [32, 16, "
        "1, 1]");
  CHECK(error_with_tensor("output_norm.weight", {31, 1, 1, 1}) ==
        "small: the tensor \"output_norm.weight\" has the shape [31, 1, 1, 1], expected [32, 1, 1, "
        "1]");
  CHECK(error_with_tensor("token_embd.weight", {32, 10, 10, 1}) ==
        "small: the tensor \"token_embd.weight\" has the shape [32, 10, 10, 1], expected [32, 10, "
        "1, 1]");
}

TEST_CASE("what a decoder cannot do is said, not guessed") {
  CHECK(error_with("llama.expert_count", int64_t{8}) ==
        "small: llama: mixture-of-experts weights are not supported");
  CHECK(error_with("mistral3.attention.temperature_scale", 0.1, "mistral3") ==
        "small: mistral3: attention temperature by position is not supported");
}

TEST_CASE("gemma3 reads which layers are local from a list or a period") {
  const auto windows = [](decltype(Value::data) pattern) {
    ModelFile file = small("gemma3");
    file.metadata.emplace_back("gemma3.attention.sliding_window", Value{.data = int64_t{16}});
    file.metadata.emplace_back("gemma3.attention.sliding_window_pattern",
                               Value{.data = std::move(pattern)});
    const LoadedModel model = load(std::move(file));
    return std::array{model.kv.layers[0].window, model.kv.layers[1].window};
  };
  CHECK(windows(std::vector<bool>{false, true}) == std::array<int64_t, 2>{0, 16});
  CHECK(windows(int64_t{2}) == std::array<int64_t, 2>{16, 0});
  CHECK(windows(int64_t{6}) == std::array<int64_t, 2>{16, 16});
  CHECK(error_with("gemma3.attention.sliding_window_pattern", std::vector<bool>{true}, "gemma3") ==
        "small: gemma3.attention.sliding_window_pattern has 1 entries, expected one for layer 1");
}

TEST_CASE("rope settings follow their keys") {
  const auto rope_of =
      [](const std::string& architecture,
         const std::vector<std::pair<std::string, decltype(Value::data)>>& entries) {
        ModelFile file = small(architecture);
        for (const auto& [key, value] : entries)
          file.metadata.emplace_back(architecture + "." + key, Value{.data = value});
        return load(std::move(file)).kv.layers[0].rope;
      };
  CHECK(rope_of("llama", {}) == ml::RopeSpec{.dims = 8});
  CHECK(rope_of("llama",
                {{"rope.scaling.type", std::string("linear")}, {"rope.scaling.factor", 4.0}}) ==
        ml::RopeSpec{.dims = 8, .linear_scale = 0.25f});
  CHECK(rope_of("llama", {{"rope.scaling.type", std::string("none")},
                          {"rope.scaling.factor", 4.0}}) == ml::RopeSpec{.dims = 8});
  const ml::RopeSpec yarn =
      rope_of("qwen2", {{"rope.scaling.type", std::string("yarn")},
                        {"rope.scaling.factor", 4.0},
                        {"rope.scaling.original_context_length", int64_t{32}}});
  CHECK(yarn.extension == 1.0f);
  CHECK(yarn.original_context == 32);
  CHECK(yarn.attention_factor == doctest::Approx(1.0 + 0.1 * std::log(4.0)));
  CHECK(yarn.layout == ml::RopeLayout::kHalves);
}

TEST_CASE("the converter refuses classes and tensors that it does not know") {
  const auto checkpoint = std::make_shared<ModelFile>(ModelFile{.path = "checkpoint"});
  CHECK_THROWS_WITH_AS(
      convert(parse_json(R"({"architectures": ["QuantumForCausalLM"]})"), checkpoint),
      "unsupported architecture \"QuantumForCausalLM\"", Error);
  CHECK_THROWS_WITH_AS(convert(parse_json("{}"), checkpoint),
                       "config.json names no class under \"architectures\"", Error);
  CHECK_THROWS_WITH_AS(
      convert(parse_json(R"({"architectures": ["Qwen2ForCausalLM"]})"), checkpoint),
      "config.json lacks \"hidden_size\"", Error);
  auto odd = std::make_shared<ModelFile>();
  odd->tensors.push_back({.name = "model.layers.0.self_attn.rotor.weight", .rank = 2});
  const char* config = R"({"architectures": ["Qwen2ForCausalLM"], "hidden_size": 32,
    "num_attention_heads": 4, "vocab_size": 100, "max_position_embeddings": 128,
    "num_hidden_layers": 2, "intermediate_size": 64, "rms_norm_eps": 1e-6})";
  CHECK_THROWS_WITH_AS(
      convert(parse_json(config), odd),
      "the tensor \"model.layers.0.self_attn.rotor.weight\" is not part of architecture qwen2",
      Error);
}

}  // namespace cria::models
