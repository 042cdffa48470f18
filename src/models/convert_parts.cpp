#include "models/convert_parts.h"

#include "base/error.h"

#include <array>
#include <charconv>
#include <cmath>

namespace cria::models {
namespace {

// Value types of GGUF.
constexpr uint32_t kUint32 = 4, kFloat32 = 6, kBool = 7, kString = 8, kArray = 9;

constexpr std::array kLayerNames = {
    Rename{"input_layernorm", "attn_norm"},    Rename{"self_attn.q_proj", "attn_q"},
    Rename{"self_attn.k_proj", "attn_k"},      Rename{"self_attn.v_proj", "attn_v"},
    Rename{"self_attn.o_proj", "attn_output"}, Rename{"self_attn.q_norm", "attn_q_norm"},
    Rename{"self_attn.k_norm", "attn_k_norm"}, Rename{"post_attention_layernorm", "ffn_norm"},
    Rename{"mlp.gate_proj", "ffn_gate"},       Rename{"mlp.up_proj", "ffn_up"},
    Rename{"mlp.down_proj", "ffn_down"},
};

constexpr std::array kGlobalNames = {
    Rename{"embed_tokens", "token_embd"},
    Rename{"norm", "output_norm"},
    Rename{"lm_head", "output"},
};

// Tensors that a text model does without.
bool skipped(std::string_view name) {
  return name.starts_with("vision_tower.") || name.starts_with("model.vision_tower.") ||
         name.starts_with("multi_modal_projector.") ||
         name.starts_with("model.multi_modal_projector.") || name.ends_with("rotary_emb.inv_freq");
}

std::string_view without_prefix(std::string_view name) {
  for (const std::string_view prefix :
       {"language_model.model.", "model.language_model.", "language_model.", "model."})
    if (name.starts_with(prefix)) return name.substr(prefix.size());
  return name;
}

// "layers.3.self_attn.q_proj.weight" -> "blk.3.attn_q.weight"; empty when unknown.
std::string gguf_name(std::string_view name, std::span<const Rename> more) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  const std::string_view suffix = name.substr(dot);
  std::string_view path = name.substr(0, dot);
  if (!path.starts_with("layers.")) {
    const auto to = renamed(path, kGlobalNames);
    return to ? fmt::format("{}{}", *to, suffix) : std::string();
  }
  int64_t layer = -1;
  path = behind_layer(path.substr(7), layer);
  auto to = renamed(path, more);
  if (!to) to = renamed(path, kLayerNames);
  return to ? fmt::format("blk.{}.{}{}", layer, *to, suffix) : std::string();
}

// Vectors stay exact; matrices keep bfloat16 and become float16 otherwise.
quant::DType stored_type(const formats::TensorInfo& source) {
  if (source.rank <= 1) return quant::DType::kF32;
  return source.dtype == quant::DType::kBF16 ? quant::DType::kBF16 : quant::DType::kF16;
}

void write_rope_scaling(const Json& config, MetadataWriter& write) {
  const Json* scaling = json_find(config, "rope_scaling");
  if (scaling == nullptr || !scaling->is_object()) return;
  auto type = json_string(*scaling, "rope_type");
  if (!type) type = json_string(*scaling, "type");
  if (!type || *type == "default" || *type == "llama3")
    return;  // llama3: a tensor, llama_convert.cpp
  if (*type != "linear" && *type != "yarn")
    fail(ErrorKind::kUnsupported, "rope_scaling of type \"{}\" is not supported", *type);
  const double factor = config_number(*scaling, "factor");
  if (!(factor > 0))
    fail(ErrorKind::kInvalidInput, "rope_scaling.factor is {}, expected a positive number", factor);
  write.text("rope.scaling.type", *type);
  write.number("rope.scaling.factor", factor);
  if (const auto context = json_integer(*scaling, "original_max_position_embeddings"))
    write.size("rope.scaling.original_context_length", *context);
  if (*type != "yarn") return;
  if (const auto beta = json_number(*scaling, "beta_fast"))
    write.number("rope.scaling.yarn_beta_fast", *beta);
  if (const auto beta = json_number(*scaling, "beta_slow"))
    write.number("rope.scaling.yarn_beta_slow", *beta);
  // GGUF holds what multiplies the usual correction, not the whole factor.
  if (const auto whole = json_number(*scaling, "attention_factor"))
    write.number("rope.scaling.attn_factor",
                 *whole / (1.0 + 0.1 * std::log(std::max(1.0, factor))));
}

}  // namespace

void MetadataWriter::add(std::string_view key, formats::Value value) {
  out_.metadata.emplace_back(fmt::format("{}.{}", out_.architecture, key), std::move(value));
}
void MetadataWriter::size(std::string_view key, int64_t value) {
  add(key, {.data = value, .gguf_type = kUint32});
}
void MetadataWriter::number(std::string_view key, double value) {
  // Rounded as it will be stored, so that the conversion equals the file that is written from it.
  add(key, {.data = double{static_cast<float>(value)}, .gguf_type = kFloat32});
}
void MetadataWriter::text(std::string_view key, std::string value) {
  add(key, {.data = std::move(value), .gguf_type = kString});
}
void MetadataWriter::flag(std::string_view key, bool value) {
  add(key, {.data = value, .gguf_type = kBool});
}
void MetadataWriter::flags(std::string_view key, std::vector<bool> value) {
  add(key, {.data = std::move(value), .gguf_type = kArray, .gguf_element_type = kBool});
}

int64_t config_size(const Json& config, std::string_view key) {
  const auto value = json_integer(config, key);
  if (!value) fail(ErrorKind::kInvalidInput, "config.json lacks \"{}\"", key);
  if (*value < 1 || *value >= (int64_t{1} << 31))
    fail(ErrorKind::kInvalidInput, "config.json: {} is {}, expected 1 to 2^31 - 1", key, *value);
  return *value;
}

double config_number(const Json& config, std::string_view key) {
  const auto value = json_number(config, key);
  if (!value) fail(ErrorKind::kInvalidInput, "config.json lacks \"{}\"", key);
  return *value;
}

std::optional<std::string_view> renamed(std::string_view name, std::span<const Rename> table) {
  for (const Rename& row : table)
    if (row.from == name) return row.to;
  return std::nullopt;
}

std::string_view behind_layer(std::string_view path, int64_t& layer) {
  const auto [end, code] = std::from_chars(path.data(), path.data() + path.size(), layer);
  const auto digits = static_cast<size_t>(end - path.data());
  if (code != std::errc() || layer < 0 || digits >= path.size() || path[digits] != '.') return {};
  return path.substr(digits + 1);
}

Conversion begin_conversion(const Checkpoint& checkpoint, std::string_view architecture) {
  Conversion out{.architecture = std::string(architecture), .checkpoint = checkpoint.tensors};
  out.metadata.emplace_back("general.architecture",
                            formats::Value{.data = out.architecture, .gguf_type = kString});
  out.metadata.emplace_back("general.quantization_version",
                            formats::Value{.data = int64_t{2}, .gguf_type = kUint32});
  return out;
}

void add_tensor(const formats::TensorInfo& source, std::string name, Conversion& out) {
  out.tensors.push_back({.name = std::move(name),
                         .dtype = stored_type(source),
                         .shape = source.shape,
                         .rank = std::max(1, source.rank),
                         .source = &source});
}

Conversion begin_decoder(const Checkpoint& checkpoint, std::string_view architecture) {
  const Json& c = checkpoint.config;
  Conversion out = begin_conversion(checkpoint, architecture);
  MetadataWriter write(out);
  const int64_t width = config_size(c, "hidden_size"),
                heads = config_size(c, "num_attention_heads");
  const int64_t head_dim = json_integer(c, "head_dim") ? config_size(c, "head_dim")
                                                       : std::max<int64_t>(1, width / heads);
  write.size("vocab_size", config_size(c, "vocab_size"));
  write.size("context_length", config_size(c, "max_position_embeddings"));
  write.size("embedding_length", width);
  write.size("block_count", config_size(c, "num_hidden_layers"));
  write.size("feed_forward_length", config_size(c, "intermediate_size"));
  write.size("attention.head_count", heads);
  write.size("attention.head_count_kv", json_integer(c, "num_key_value_heads")
                                            ? config_size(c, "num_key_value_heads")
                                            : heads);
  write.size("attention.key_length", head_dim);
  write.size("attention.value_length", head_dim);
  write.size("rope.dimension_count", head_dim);
  write.number("attention.layer_norm_rms_epsilon", config_number(c, "rms_norm_eps"));
  write.number("rope.freq_base", json_number(c, "rope_theta").value_or(10000.0));
  write_rope_scaling(c, write);
  return out;
}

void add_decoder_tensors(const Checkpoint& checkpoint, std::span<const Rename> more,
                         Conversion& out) {
  const bool tied = json_bool(checkpoint.config, "tie_word_embeddings").value_or(false);
  for (const formats::TensorInfo& source : checkpoint.tensors->tensors) {
    if (skipped(source.name)) continue;
    const std::string name = gguf_name(without_prefix(source.name), more);
    if (name.empty())
      fail(ErrorKind::kUnsupported, "the tensor \"{}\" is not part of architecture {}", source.name,
           out.architecture);
    if (tied && name == "output.weight") continue;
    add_tensor(source, name, out);
  }
}

std::function<void(std::span<float>)> permute_heads(int64_t heads, int64_t rows) {
  if (heads < 1 || rows % (2 * heads) != 0)
    fail(ErrorKind::kInvalidInput, "{} rows of q or k are not pairs for {} heads", rows, heads);
  return [heads, rows](std::span<float> values) {
    const std::vector<float> old(values.begin(), values.end());
    const int64_t width = static_cast<int64_t>(values.size()) / rows, half = rows / heads / 2;
    for (int64_t head = 0; head < heads; ++head)
      for (int64_t pair = 0; pair < half; ++pair)
        for (int64_t part = 0; part < 2; ++part) {
          const int64_t from = (head * 2 + part) * half + pair,
                        to = (head * half + pair) * 2 + part;
          std::copy_n(old.begin() + from * width, width, values.begin() + to * width);
        }
  };
}

void add_one(std::span<float> values) {
  for (float& value : values) value += 1.0f;
}

}  // namespace cria::models
