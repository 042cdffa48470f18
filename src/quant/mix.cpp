#include "quant/mix.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <numeric>
#include <tuple>

namespace cria::quant {
namespace {

enum class Part { kOther, kOutput, kEmbedding, kValue, kKey, kAttentionOut, kDown };

constexpr std::array kMixes = {
    Mix{"F32", 0, DType::kF32},      Mix{"F16", 1, DType::kF16},
    Mix{"Q4_0", 2, DType::kQ4_0},    Mix{"Q4_1", 3, DType::kQ4_1},
    Mix{"Q8_0", 7, DType::kQ8_0},    Mix{"Q5_0", 8, DType::kQ5_0},
    Mix{"Q5_1", 9, DType::kQ5_1},    Mix{"Q2_K", 10, DType::kQ2_K},
    Mix{"Q3_K_S", 11, DType::kQ3_K}, Mix{"Q3_K_M", 12, DType::kQ3_K},
    Mix{"Q3_K_L", 13, DType::kQ3_K}, Mix{"Q4_K_S", 14, DType::kQ4_K},
    Mix{"Q4_K_M", 15, DType::kQ4_K}, Mix{"Q5_K_S", 16, DType::kQ5_K},
    Mix{"Q5_K_M", 17, DType::kQ5_K}, Mix{"Q6_K", 18, DType::kQ6_K},
    Mix{"BF16", 32, DType::kBF16},
};

// Norms, routers, positions, convolutions and the like: small, or too sensitive.
constexpr std::array<std::string_view, 16> kKeptParts = {"_norm.weight",
                                                         "ffn_gate_inp.weight",
                                                         "ffn_gate_tid2eid.weight",
                                                         "altup",
                                                         "laurel",
                                                         "per_layer_model_proj",
                                                         "ssm_conv1d",
                                                         "indexer.k_proj.weight",
                                                         "indexer.q_proj.weight",
                                                         "shortconv.conv.weight",
                                                         "attn_rel_b.weight",
                                                         ".position_embd",
                                                         ".rel_pos",
                                                         ".patch_embd",
                                                         ".patch_merger",
                                                         "sam."};
constexpr std::array<std::string_view, 11> kKeptTimeMix = {"first", "w0", "w1", "w2", "v0", "v1",
                                                           "v2",    "a0", "a1", "a2", "g1"};
constexpr std::array<std::string_view, 4> kKeptTimeMixMore = {"g2", "decay_w1", "decay_w2",
                                                              "lerp_fused"};
// Towers of other modalities, and heads that predict several tokens.
constexpr std::array<std::string_view, 5> kKeptPrefixes = {"v.", "a.", "mm.", "mtp.", "s."};

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool is_kept_time_mix(std::string_view name) {
  const auto matches = [&](std::string_view suffix) {
    return name.ends_with(".weight") && name.substr(0, name.size() - 7).ends_with(suffix) &&
           name.substr(0, name.size() - 7 - suffix.size()).ends_with("time_mix_");
  };
  return std::ranges::any_of(kKeptTimeMix, matches) ||
         std::ranges::any_of(kKeptTimeMixMore, matches);
}

bool is_kept(const MixTensor& tensor) {
  const std::string_view name = tensor.name;
  if (tensor.rank < 2 || !name.ends_with("weight") || info(tensor.dtype).dequantize == nullptr)
    return true;
  if (name == "position_embd.weight" || name == "token_types.weight" || is_kept_time_mix(name))
    return true;
  return std::ranges::any_of(kKeptParts, [&](auto part) { return contains(name, part); }) ||
         std::ranges::any_of(kKeptPrefixes, [&](auto prefix) { return name.starts_with(prefix); });
}

Part part_of(std::string_view name) {
  if (name == "output.weight") return Part::kOutput;
  if (name == "token_embd.weight" || name == "per_layer_token_embd.weight") return Part::kEmbedding;
  if (contains(name, "attn_qkv.weight") || contains(name, "attn_kv_b.weight") ||
      contains(name, "attn_v.weight"))
    return Part::kValue;
  if (contains(name, "attn_k.weight")) return Part::kKey;
  if (contains(name, "attn_output.weight")) return Part::kAttentionOut;
  if (contains(name, "ffn_down")) return Part::kDown;
  return Part::kOther;
}

// The number in "blk.12."; -1 for tensors outside blocks.
int64_t block_of(std::string_view name) {
  int64_t block = -1;
  if (!name.starts_with("blk.")) return -1;
  const auto result = std::from_chars(name.data() + 4, name.data() + name.size(), block);
  return result.ec == std::errc() && block >= 0 ? block : -1;
}

// The first and last eighth of the layers, and every third between them.
bool gets_more(int64_t i, int64_t n) {
  return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

struct Recipe {
  const Mix& mix;
  const MixModel& model;
  bool tied;       // no output.weight: the embedding is the output, too
  int64_t values;  // how many V tensors there are

  bool is(std::string_view name) const { return mix.name == name; }
  bool falcon() const { return model.architecture == "falcon"; }
  int64_t groups() const { return model.heads / std::max<int64_t>(1, model.kv_heads); }

  DType value(int64_t i) const {
    DType type = mix.base;
    if (is("Q2_K")) type = groups() >= 4 ? DType::kQ4_K : DType::kQ3_K;
    if (is("Q3_K_M")) type = i < 2 ? DType::kQ5_K : DType::kQ4_K;
    if (is("Q3_K_L") || (is("Q4_K_S") && i < 4)) type = DType::kQ5_K;
    if ((is("Q4_K_M") || is("Q5_K_M")) && gets_more(i, values)) type = DType::kQ6_K;
    const bool large = model.architecture == "llama" && model.layers == 80 && groups() > 1;
    if (large && (type == DType::kQ3_K || type == DType::kQ4_K)) type = DType::kQ5_K;
    return model.experts == 8 ? DType::kQ8_0 : type;
  }

  DType down(int64_t i) const {
    const int64_t n = model.layers;
    if (is("Q2_K")) return DType::kQ3_K;
    if (is("Q3_K_M")) {
      if (i < n / 16) return DType::kQ5_K;
      return !falcon() || gets_more(i, n) ? DType::kQ4_K : DType::kQ3_K;
    }
    if (is("Q3_K_L")) return falcon() ? DType::kQ4_K : DType::kQ5_K;
    if (is("Q4_K_S") && !falcon() && i < n / 8) return DType::kQ5_K;
    if (is("Q4_K_M") && falcon() && i >= n / 16) return gets_more(i, n) ? DType::kQ5_K : mix.base;
    if (is("Q4_K_M") && falcon()) return DType::kQ6_K;
    if ((is("Q4_K_M") || is("Q5_K_M")) && gets_more(i, n)) return DType::kQ6_K;
    return mix.base;
  }

  DType attention_out() const {
    if (falcon()) return is("Q3_K_L") ? DType::kQ4_K : mix.base;
    const bool coarse = is("Q2_K") || is("Q3_K_S") || is("Q3_K_M") || is("Q4_K_S") || is("Q4_K_M");
    if (model.experts == 8) return coarse ? DType::kQ5_K : mix.base;
    if (is("Q2_K")) return DType::kQ3_K;
    if (is("Q3_K_M")) return DType::kQ4_K;
    return is("Q3_K_L") ? DType::kQ5_K : mix.base;
  }

  DType output(int64_t row) const {
    if (falcon() || row % info(mix.base).block_elements != 0) return DType::kQ8_0;
    return mix.base == DType::kQ8_0 ? DType::kQ8_0 : DType::kQ6_K;
  }

  DType of(Part part, int64_t index, int64_t row) const {
    switch (part) {
      case Part::kOutput:
        return output(row);
      case Part::kEmbedding:
        return tied ? output(row) : mix.base;
      case Part::kValue:
        return value(index);
      case Part::kKey:
        return model.experts == 8 ? DType::kQ8_0 : mix.base;
      case Part::kAttentionOut:
        return attention_out();
      case Part::kDown:
        return down(index);
      case Part::kOther:
        break;
    }
    return mix.base;
  }
};

// What Q4_K_S and Q4_K_M do for single architectures, over everything else.
DType overridden(DType chosen, const Recipe& recipe, std::string_view name) {
  if (!recipe.is("Q4_K_S") && !recipe.is("Q4_K_M")) return chosen;
  const std::string_view arch = recipe.model.architecture;
  const auto ends_with_any = [&](std::initializer_list<std::string_view> parts) {
    return std::ranges::any_of(parts, [&](std::string_view part) { return name.ends_with(part); });
  };
  if ((arch == "qwen35" || arch == "qwen35moe") && name.ends_with(".nextn.eh_proj.weight"))
    return DType::kQ8_0;
  if (arch == "gemma3n" && name == "per_layer_token_embd.weight") return DType::kF16;
  if (arch == "deepseek2" && ends_with_any({"attn_k_b.weight", "attn_q_a.weight", "attn_q_b.weight",
                                            "attn_v_b.weight", "attn_kv_a_mqa.weight"}))
    return DType::kQ8_0;
  if ((arch == "glmocr" || arch == "glm4") &&
      (name == "token_embd.weight" || name == "output.weight"))
    return DType::kF16;
  return chosen;
}

// A type whose blocks the rows are whole multiples of.
DType fitting(DType type, int64_t row) {
  if (row % info(type).block_elements == 0) return type;
  DType coarser = DType::kF16;
  if (type == DType::kQ4_K) coarser = DType::kQ5_0;
  if (type == DType::kQ5_K) coarser = DType::kQ5_1;
  if (type == DType::kQ6_K) coarser = DType::kQ8_0;
  if (type == DType::kQ2_K || type == DType::kQ3_K) coarser = DType::kQ4_0;
  return row % info(coarser).block_elements == 0 ? coarser : DType::kF16;
}

// Blocks in order, then names; what is outside blocks comes first. The recipes count in this order.
std::vector<size_t> counting_order(std::span<const MixTensor> tensors) {
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(
      order, {}, [&](size_t i) { return std::tuple(block_of(tensors[i].name), tensors[i].name); });
  return order;
}

bool same_letters(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::toupper(x) == std::toupper(y); });
}

}  // namespace

const Mix* find_mix(std::string_view name) noexcept {
  for (const std::string_view family : {"Q3_K", "Q4_K", "Q5_K"})
    if (same_letters(name, family))
      return find_mix(family == "Q3_K" ? "Q3_K_M" : family == "Q4_K" ? "Q4_K_M" : "Q5_K_M");
  for (const Mix& mix : kMixes)
    if (same_letters(mix.name, name)) return &mix;
  return nullptr;
}

std::span<const Mix> all_mixes() noexcept {
  return kMixes;
}

std::vector<DType> choose_types(const Mix& mix, const MixModel& model,
                                std::span<const MixTensor> tensors) {
  const auto is_value = [](const MixTensor& t) { return part_of(t.name) == Part::kValue; };
  const Recipe recipe{
      .mix = mix,
      .model = model,
      .tied = std::ranges::none_of(tensors, [](auto& t) { return t.name == "output.weight"; }),
      .values = std::ranges::count_if(tensors, is_value)};
  std::vector<DType> types(tensors.size());
  int64_t values = 0, downs = 0;
  for (const size_t i : counting_order(tensors)) {
    const MixTensor& tensor = tensors[i];
    types[i] = tensor.dtype;
    if (is_kept(tensor)) continue;
    if (info(mix.base).block_elements == 1) {  // plain types: no recipe
      types[i] = mix.base;
      continue;
    }
    const Part part = part_of(tensor.name);
    int64_t index = 0;
    if (part == Part::kValue) index = values++;
    if (part == Part::kDown) index = model.experts > 1 ? block_of(tensor.name) : downs++;
    types[i] =
        fitting(overridden(recipe.of(part, index, tensor.row), recipe, tensor.name), tensor.row);
  }
  return types;
}

}  // namespace cria::quant
