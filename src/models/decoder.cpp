#include "models/decoder.h"

#include "base/error.h"

#include <cmath>

namespace cria::models {
namespace {

int64_t default_head_dim(const Metadata& m, int64_t width, int64_t heads) {
  if (!m.has("attention.key_length") && width % heads != 0)
    fail(ErrorKind::kInvalidInput, "{}.embedding_length {} is not a multiple of head_count {}",
         m.architecture(), width, heads);
  return std::max<int64_t>(1, width / heads);
}

}  // namespace

DecoderSizes::DecoderSizes(const Metadata& m)
    : layers(m.size("block_count")),
      width(m.size("embedding_length")),
      hidden(m.size("feed_forward_length")),
      heads(m.size("attention.head_count")),
      kv_heads(m.size("attention.head_count_kv", heads)),
      head_dim(m.size("attention.key_length", default_head_dim(m, width, heads))),
      eps(m.number("attention.layer_norm_rms_epsilon")),
      scale(m.number("attention.scale", 1.0f / std::sqrt(static_cast<float>(head_dim)))) {
  if (heads % kv_heads != 0)
    fail(ErrorKind::kInvalidInput,
         "{}.attention.head_count {} is not a multiple of head_count_kv {}", m.architecture(),
         heads, kv_heads);
  if (const int64_t value_dim = m.size("attention.value_length", head_dim); value_dim != head_dim)
    fail(ErrorKind::kUnsupported, "{}: value_length {} differs from key_length {}",
         m.architecture(), value_dim, head_dim);
  if (eps < 0)
    fail(ErrorKind::kInvalidInput, "{}.attention.layer_norm_rms_epsilon is {}, expected 0 or more",
         m.architecture(), eps);
}

ml::RopeSpec rope_spec(const Metadata& m, int64_t head_dim, ml::RopeLayout layout) {
  ml::RopeSpec spec{.dims = m.size("rope.dimension_count", head_dim),
                    .base = m.number("rope.freq_base", 10000.0f),
                    .layout = layout};
  const std::string type = m.text("rope.scaling.type", "linear");
  const float factor = m.number("rope.scaling.factor", m.number("rope.scale_linear", 1.0f));
  if (type == "none" || factor == 0.0f) return spec;  // 0 is written by some converters for "off"
  if (factor < 0)
    fail(ErrorKind::kInvalidInput, "{}.rope.scaling.factor is {}, expected a positive number",
         m.architecture(), factor);
  if (type != "linear" && type != "yarn")
    fail(ErrorKind::kUnsupported,
         "{}.rope.scaling.type \"{}\" is not supported (none, linear, yarn)", m.architecture(),
         type);
  spec.linear_scale = 1.0f / factor;
  if (type == "linear") return spec;

  spec.extension = m.number("rope.scaling.yarn_ext_factor", 1.0f);
  spec.beta_fast =
      m.number("rope.scaling.yarn_beta_fast", m.number("rope.scaling.beta_fast", 32.0f));
  spec.beta_slow =
      m.number("rope.scaling.yarn_beta_slow", m.number("rope.scaling.beta_slow", 1.0f));
  spec.original_context = m.size("rope.scaling.original_context_length", m.size("context_length"));
  // A log multiplier moves the whole correction into the scale of the attention scores.
  const bool corrected =
      m.number("rope.scaling.yarn_log_multiplier", 0.0f) == 0.0f && factor > 1.0f;
  spec.attention_factor = m.number("rope.scaling.attn_factor", 1.0f) *
                          (corrected ? 1.0f + 0.1f * std::log(factor) : 1.0f);
  return spec;
}

nn::Linear make_head(const nn::Weights& w, const nn::Embedding& embedding) {
  const nn::Linear::Size size{embedding.weight.dim(0), embedding.vocabulary()};
  return {(w / "output").has("weight") ? w / "output" : w / "token_embd", size};
}

}  // namespace cria::models
