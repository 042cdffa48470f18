// The expected types are those of published files, made by llama.cpp, and of its documented rules.
#include "quant/mix.h"

#include <doctest/doctest.h>

#include <map>
#include <string>

namespace cria::quant {
namespace {

struct Names {
  std::vector<std::string> names;
  std::vector<MixTensor> tensors;
  void add(std::string name, int64_t row, int rank = 2, DType dtype = DType::kF16) {
    names.push_back(std::move(name));
    tensors.push_back({{}, dtype, row, rank});
  }
  std::map<std::string, std::string_view> types(std::string_view mix, const MixModel& model) {
    for (size_t i = 0; i < names.size(); ++i) tensors[i].name = names[i];
    const auto chosen = choose_types(*find_mix(mix), model, tensors);
    std::map<std::string, std::string_view> result;
    for (size_t i = 0; i < names.size(); ++i) result[names[i]] = info(chosen[i]).name;
    return result;
  }
};

Names decoder(int64_t layers, int64_t width, int64_t hidden, bool tied) {
  Names n;
  n.add("token_embd.weight", width);
  if (!tied) n.add("output.weight", width);
  n.add("output_norm.weight", width, 1, DType::kF32);
  for (int64_t i = layers - 1; i >= 0; --i) {  // the order in the file must not matter
    const std::string block = "blk." + std::to_string(i) + ".";
    for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_gate"})
      n.add(block + name + ".weight", width);
    n.add(block + "ffn_down.weight", hidden);
    n.add(block + "attn_norm.weight", width, 1, DType::kF32);
    n.add(block + "attn_q.bias", width, 1, DType::kF32);
  }
  return n;
}

TEST_CASE("Q4_K_M chooses what the published Gemma 3 270M has") {
  const auto types = decoder(18, 640, 2048, true).types("q4_k_m", {"gemma3", 18, 4, 1, 0});
  const std::string finer = "110010010010010111";
  for (size_t i = 0; i < 18; ++i) {
    const std::string block = "blk." + std::to_string(i) + ".";
    CAPTURE(block);
    CHECK(types.at(block + "ffn_down.weight") == (finer[i] == '1' ? "Q6_K" : "Q4_K"));
    // Rows of 640 are not whole blocks of 256.
    CHECK(types.at(block + "attn_v.weight") == (finer[i] == '1' ? "Q8_0" : "Q5_0"));
    CHECK(types.at(block + "attn_q.weight") == "Q5_0");
    CHECK(types.at(block + "attn_norm.weight") == "F32");
    CHECK(types.at(block + "attn_q.bias") == "F32");
  }
  CHECK(types.at("token_embd.weight") == "Q8_0");
}

TEST_CASE("the other recipes follow their rules") {
  const MixModel llama{"llama", 32, 32, 8, 0};
  Names n = decoder(32, 4096, 14336, false);
  auto types = n.types("Q4_K_S", llama);
  CHECK(types.at("output.weight") == "Q6_K");
  CHECK(types.at("token_embd.weight") == "Q4_K");
  CHECK(types.at("blk.3.attn_v.weight") == "Q5_K");
  CHECK(types.at("blk.4.attn_v.weight") == "Q4_K");
  CHECK(types.at("blk.3.ffn_down.weight") == "Q5_K");
  CHECK(types.at("blk.10.ffn_down.weight") == "Q4_K");
  types = n.types("Q2_K", llama);
  CHECK(types.at("blk.0.attn_v.weight") == "Q4_K");
  CHECK(types.at("blk.0.attn_output.weight") == "Q3_K");
  CHECK(types.at("blk.0.ffn_up.weight") == "Q2_K");
  CHECK(n.types("Q2_K", {"llama", 32, 32, 16, 0}).at("blk.0.attn_v.weight") == "Q3_K");
  types = n.types("Q3_K_M", llama);
  CHECK(types.at("blk.1.attn_v.weight") == "Q5_K");
  CHECK(types.at("blk.2.attn_v.weight") == "Q4_K");
  CHECK(types.at("blk.1.ffn_down.weight") == "Q5_K");
  CHECK(types.at("blk.2.ffn_down.weight") == "Q4_K");
  types = n.types("Q8_0", llama);
  CHECK(types.at("output.weight") == "Q8_0");
  CHECK(types.at("blk.5.ffn_gate.weight") == "Q8_0");
  CHECK(n.types("BF16", llama).at("output.weight") == "BF16");
  CHECK(n.types("Q4_K_M", {"falcon", 32, 32, 8, 0}).at("output.weight") == "Q8_0");
  CHECK(n.types("Q4_K_M", {"glm4", 32, 32, 8, 0}).at("output.weight") == "F16");
  const auto eight = n.types("Q4_K_M", {"llama", 32, 32, 8, 8});
  CHECK(eight.at("blk.9.attn_k.weight") == "Q8_0");
  CHECK(eight.at("blk.9.attn_output.weight") == "Q5_K");
}

TEST_CASE("tensors that are small or sensitive stay as they are") {
  Names n;
  for (const char* name :
       {"blk.0.ffn_gate_inp.weight", "position_embd.weight", "blk.0.ssm_conv1d.weight",
        "v.blk.0.attn_q.weight", "mm.0.weight", "blk.0.attn_q_norm.weight",
        "blk.0.time_mix_lerp_fused.weight", "blk.0.exp_probs_b.bias"})
    n.add(name, 256);
  for (const auto& [name, type] : n.types("Q4_K_M", {"llama", 1, 1, 1, 0})) {
    CAPTURE(name);
    CHECK(type == "F16");
  }
  Names odd;
  odd.add("blk.0.ffn_up.weight", 48);
  CHECK(odd.types("Q4_K_M", {"llama", 1, 1, 1, 0}).at("blk.0.ffn_up.weight") == "F16");
}

TEST_CASE("mixes are found by any spelling, and unknown ones are not") {
  CHECK(find_mix("q4_k")->name == "Q4_K_M");
  CHECK(find_mix("bf16")->file_type == 32);
  CHECK(find_mix("Q9") == nullptr);
  for (const Mix& mix : all_mixes()) CHECK((info(mix.base).quantize != nullptr));
}

}  // namespace
}  // namespace cria::quant
