// llama_convert.cpp - Llama, Mistral, SmolLM3: rows of q and k are reordered to neighbouring pairs;
// the "llama3" scaling becomes the tensor rope_freqs.

#include "base/error.h"
#include "models/convert_parts.h"

#include <cmath>
#include <numbers>

namespace cria::models {
namespace {

std::string_view architecture_of(const Json& config) {
  const std::string type = json_string(config, "model_type").value_or("");
  const std::string name = config["architectures"].front().get<std::string>();
  if (name == "Mistral3ForConditionalGeneration") return "mistral3";
  return type == "smollm3" ? "smollm3" : "llama";
}

// Divisors of the rope frequencies: 1 for short waves, `factor` for long ones, blended between.
std::vector<float> llama3_factors(const Json& scaling, double base, int64_t head_dim) {
  const double factor = json_number(scaling, "factor").value_or(8.0);
  const double low = json_number(scaling, "low_freq_factor").value_or(1.0);
  const double high = json_number(scaling, "high_freq_factor").value_or(4.0);
  const double context = json_number(scaling, "original_max_position_embeddings").value_or(8192.0);
  if (!(factor > 0 && low > 0 && high > low && context > 0))
    fail(ErrorKind::kInvalidInput,
         "rope_scaling: factor {}, low_freq_factor {}, high_freq_factor {} do not fit together",
         factor, low, high);
  std::vector<float> factors;
  for (int64_t i = 0; i < head_dim / 2; ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(head_dim);
    const double turns = context / (2.0 * std::numbers::pi * std::pow(base, exponent));
    const double smooth = std::clamp((turns - low) / (high - low), 0.0, 1.0);
    factors.push_back(static_cast<float>(1.0 / ((1.0 - smooth) / factor + smooth)));
  }
  return factors;
}

void add_llama3_factors(const Json& config, Conversion& out) {
  const Json* scaling = json_find(config, "rope_scaling");
  if (scaling == nullptr || !scaling->is_object()) return;
  if (json_string(*scaling, "rope_type").value_or("") != "llama3") return;
  const int64_t head_dim =
      json_integer(config, "head_dim")
          ? config_size(config, "head_dim")
          : config_size(config, "hidden_size") / config_size(config, "num_attention_heads");
  auto factors =
      llama3_factors(*scaling, json_number(config, "rope_theta").value_or(10000.0), head_dim);
  const auto count = static_cast<int64_t>(factors.size());
  out.tensors.push_back(
      {.name = "rope_freqs.weight", .shape = {count, 1, 1, 1}, .values = std::move(factors)});
}

}  // namespace

Conversion convert_llama(const Checkpoint& checkpoint) {
  const Json& config = checkpoint.config;
  Conversion out = begin_decoder(checkpoint, architecture_of(config));
  if (json_integer(config, "sliding_window"))
    MetadataWriter(out).size("attention.sliding_window", config_size(config, "sliding_window"));
  add_decoder_tensors(checkpoint, {}, out);
  const int64_t heads = config_size(config, "num_attention_heads");
  const int64_t kv_heads = json_integer(config, "num_key_value_heads")
                               ? config_size(config, "num_key_value_heads")
                               : heads;
  for (ConvertedTensor& tensor : out.tensors) {
    const int64_t rows = tensor.rank == 1 ? tensor.shape[0] : tensor.shape[1];
    if (tensor.name.find(".attn_q.") != std::string::npos)
      tensor.transform = permute_heads(heads, rows);
    if (tensor.name.find(".attn_k.") != std::string::npos)
      tensor.transform = permute_heads(kv_heads, rows);
  }
  add_llama3_factors(config, out);
  return out;
}

}  // namespace cria::models
