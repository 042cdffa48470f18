// bert_convert.cpp - BERT encoders, and cross-encoders, which give a pair of texts one score. What
// config.json does not tell is how the vectors of a text become one: mean, which nearly all
// sentence models take.

#include "base/error.h"
#include "models/convert_parts.h"
#include "models/model.h"

#include <array>

namespace cria::models {
namespace {

constexpr std::array kGlobalNames = {
    Rename{"embeddings.word_embeddings", "token_embd"},
    Rename{"embeddings.position_embeddings", "position_embd"},
    Rename{"embeddings.token_type_embeddings", "token_types"},
    Rename{"embeddings.LayerNorm", "token_embd_norm"},
};

// The head of a cross-encoder; other models have a pooler that nobody uses.
constexpr std::array kHeadNames = {
    Rename{"pooler.dense", "cls"},
    Rename{"classifier", "cls.output"},
};

constexpr std::array kLayerNames = {
    Rename{"attention.self.query", "attn_q"},
    Rename{"attention.self.key", "attn_k"},
    Rename{"attention.self.value", "attn_v"},
    Rename{"attention.output.dense", "attn_output"},
    Rename{"attention.output.LayerNorm", "attn_output_norm"},
    Rename{"intermediate.dense", "ffn_up"},
    Rename{"output.dense", "ffn_down"},
    Rename{"output.LayerNorm", "layer_output_norm"},
};

// Heads of other tasks, and numbers that are the same in every file.
bool skipped(std::string_view name, bool ranks) {
  return (!ranks && name.starts_with("pooler.")) || name.starts_with("cls.") ||
         name == "embeddings.position_ids";
}

// Empty when unknown.
std::string gguf_name(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  const std::string_view suffix = name.substr(dot);
  const std::string_view path = name.substr(0, dot);
  constexpr std::string_view kLayer = "encoder.layer.";
  if (!path.starts_with(kLayer)) {
    auto to = renamed(path, kGlobalNames);
    if (!to) to = renamed(path, kHeadNames);
    return to ? fmt::format("{}{}", *to, suffix) : std::string();
  }
  int64_t layer = -1;
  const auto to = renamed(behind_layer(path.substr(kLayer.size()), layer), kLayerNames);
  return to ? fmt::format("blk.{}.{}{}", layer, *to, suffix) : std::string();
}

void refuse_variants(const Json& config) {
  const std::string act = json_string(config, "hidden_act").value_or("gelu");
  if (act != "gelu")
    fail(ErrorKind::kUnsupported, "bert models with hidden_act \"{}\" are not supported", act);
  const std::string positions = json_string(config, "position_embedding_type").value_or("absolute");
  if (positions != "absolute")
    fail(ErrorKind::kUnsupported,
         "bert models with position_embedding_type \"{}\" are not supported", positions);
}

bool ranks_pairs(const Json& config) {
  const Json* const names = json_find(config, "architectures");
  if (names == nullptr || *names != Json::array({"BertForSequenceClassification"})) return false;
  const Json* const labels = json_find(config, "id2label");
  if (labels == nullptr || labels->size() != 1)
    fail(ErrorKind::kUnsupported,
         "this classifier has {} labels; only cross-encoders, which have one, can be converted",
         labels == nullptr ? 2 : labels->size());
  return true;
}

}  // namespace

Conversion convert_bert(const Checkpoint& checkpoint) {
  const Json& c = checkpoint.config;
  refuse_variants(c);
  Conversion out = begin_conversion(checkpoint, "bert");
  MetadataWriter write(out);
  write.size("vocab_size", config_size(c, "vocab_size"));
  write.size("context_length", config_size(c, "max_position_embeddings"));
  write.size("embedding_length", config_size(c, "hidden_size"));
  write.size("block_count", config_size(c, "num_hidden_layers"));
  write.size("feed_forward_length", config_size(c, "intermediate_size"));
  write.size("attention.head_count", config_size(c, "num_attention_heads"));
  write.number("attention.layer_norm_epsilon", config_number(c, "layer_norm_eps"));
  write.flag("attention.causal", false);
  const bool ranks = ranks_pairs(c);
  write.size("pooling_type", static_cast<int64_t>(ranks ? Pooling::kRank : Pooling::kMean));
  for (const formats::TensorInfo& source : checkpoint.tensors->tensors) {
    std::string_view name = source.name;
    if (name.starts_with("bert.")) name.remove_prefix(5);
    if (skipped(name, ranks)) continue;
    std::string renamed_to = gguf_name(name);
    if (renamed_to.empty())
      fail(ErrorKind::kUnsupported, "the tensor \"{}\" is not part of architecture bert",
           source.name);
    add_tensor(source, std::move(renamed_to), out);
  }
  return out;
}

}  // namespace cria::models
