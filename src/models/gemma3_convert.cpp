// gemma3_convert.cpp - Gemma 3, text: the 1 that Gemma adds to its norm weights is stored with
// them.

#include "base/error.h"
#include "models/convert_parts.h"

#include <array>
#include <cmath>

namespace cria::models {
namespace {

constexpr std::array kNames = {
    Rename{"post_attention_layernorm", "post_attention_norm"},
    Rename{"pre_feedforward_layernorm", "ffn_norm"},
    Rename{"post_feedforward_layernorm", "post_ffw_norm"},
};

// Published configurations leave out what equals the defaults of the transformers class; the
// numbers of heads then follow from the size.
Json with_defaults(Json config) {
  const auto fill = [&](const char* key, Json value) {
    if (json_find(config, key) == nullptr) config[key] = std::move(value);
  };
  struct Heads {
    int64_t layers, heads, kv_heads;
  };
  for (const Heads& row : {Heads{26, 4, 1}, Heads{34, 8, 4}, Heads{48, 16, 8}, Heads{62, 32, 16}})
    if (config_size(config, "num_hidden_layers") == row.layers) {
      fill("num_attention_heads", row.heads);
      fill("num_key_value_heads", row.kv_heads);
    }
  fill("head_dim", 256);
  fill("rms_norm_eps", 1e-6);
  fill("rope_theta", 1e6);
  fill("rope_local_base_freq", 1e4);
  fill("max_position_embeddings", 131072);
  fill("vocab_size", 262208);
  fill("tie_word_embeddings", true);
  return config;
}

std::vector<bool> local_layers(const Json& config) {
  const auto layers = static_cast<size_t>(config_size(config, "num_hidden_layers"));
  const Json* types = json_find(config, "layer_types");
  const int64_t period = json_integer(config, "sliding_window_pattern").value_or(6);
  if (types != nullptr && (!types->is_array() || types->size() != layers))
    fail(ErrorKind::kInvalidInput, "config.json: layer_types does not name {} layers", layers);
  if (period < 1)
    fail(ErrorKind::kInvalidInput, "config.json: sliding_window_pattern is {}", period);
  if (types == nullptr && layers > 4096)
    fail(ErrorKind::kInvalidInput, "config.json: num_hidden_layers is {}", layers);
  std::vector<bool> local;
  for (size_t i = 0; i < layers; ++i)
    local.push_back(types != nullptr ? (*types)[i] == "sliding_attention"
                                     : static_cast<int64_t>(i) % period != period - 1);
  return local;
}

}  // namespace

Conversion convert_gemma3(const Checkpoint& given) {
  const Checkpoint checkpoint{with_defaults(given.config), given.tensors};
  const Json& config = checkpoint.config;
  Conversion out = begin_decoder(checkpoint, "gemma3");
  MetadataWriter write(out);
  write.size("attention.sliding_window", config_size(config, "sliding_window"));
  write.flags("attention.sliding_window_pattern", local_layers(config));
  write.number("rope.freq_base_swa", config_number(config, "rope_local_base_freq"));
  const double scalar = json_number(config, "query_pre_attn_scalar").value_or(256.0);
  if (!(scalar > 0))
    fail(ErrorKind::kInvalidInput, "config.json: query_pre_attn_scalar is {}", scalar);
  if (scalar != config_number(config, "head_dim"))
    write.number("attention.scale", 1.0 / std::sqrt(scalar));
  if (const auto cap = json_number(config, "final_logit_softcapping"))
    write.number("final_logit_softcapping", *cap);
  if (json_number(config, "attn_logit_softcapping"))
    fail(ErrorKind::kUnsupported, "gemma3 with attn_logit_softcapping is not supported");
  add_decoder_tensors(checkpoint, kNames, out);
  for (ConvertedTensor& tensor : out.tensors)
    if (tensor.name.ends_with("_norm.weight")) tensor.transform = add_one;
  return out;
}

}  // namespace cria::models
