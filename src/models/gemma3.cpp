// gemma3.cpp - Gemma 3, text: scaled embedding, norms before and after both branches, normalised q
// and k, five layers with a sliding window to one that sees everything, GeGLU.
//
// GGUF architecture "gemma3". The stored norm weights already hold the 1 that Gemma adds.
// Reference: transformers, models/gemma3/modeling_gemma3.py. Shapes are {fastest, ..., slowest}; n
// is the number of tokens in the step.

#include "models/decoder.h"
#include "nn/nn.h"

#include <cmath>

namespace cria::models {
namespace {

using ml::Tensor;
using nn::Weights;

struct Options : DecoderSizes {
  nn::Rope local_rope, global_rope;
  int64_t window;
  float embedding_scale, logit_cap;

  explicit Options(const Metadata& m)
      : DecoderSizes(m),
        local_rope{local_spec(m, head_dim), {}},
        global_rope{global_spec(m, head_dim, layers), {}},
        window(m.size("attention.sliding_window", 1024)),
        embedding_scale(std::sqrt(static_cast<float>(width))),
        // Early files of the 1B model carry a cap that it was not trained with.
        logit_cap(layers == 26 ? 0.0f : m.number("final_logit_softcapping", 0.0f)) {
    if (layers == 62 && !m.has("attention.scale"))  // 27B divides by the width of its heads' share
      scale = 1.0f / std::sqrt(static_cast<float>(width) / static_cast<float>(heads));
  }

  static ml::RopeSpec local_spec(const Metadata& m, int64_t head_dim) {
    return {.dims = head_dim,
            .base = m.number("rope.freq_base_swa", m.number("rope.local.freq_base", 10000.0f)),
            .layout = ml::RopeLayout::kHalves};
  }
  static ml::RopeSpec global_spec(const Metadata& m, int64_t head_dim, int64_t layers) {
    ml::RopeSpec spec = rope_spec(m, head_dim, ml::RopeLayout::kHalves);
    if (!m.has("rope.freq_base")) spec.base = m.number("rope.global.freq_base", 1e6f);
    // Early files of 4B, 12B and 27B do not state the factor.
    if (!m.has("rope.scaling.factor") && (layers == 34 || layers == 48 || layers == 62))
      spec.linear_scale = 1.0f / 8.0f;
    return spec;
  }
};

struct Attention {
  int64_t layer, window;
  nn::Rope rope;
  nn::Linear q, k, v, out;
  nn::RmsNorm q_norm, k_norm;  // of every head

  Attention(const Weights& w, int64_t i, bool local, const Options& o)
      : layer(i),
        window(local ? o.window : 0),
        rope(local ? o.local_rope : o.global_rope),
        q(w / "attn_q", {o.width, o.heads * o.head_dim}),
        k(w / "attn_k", {o.width, o.kv_heads * o.head_dim}),
        v(w / "attn_v", {o.width, o.kv_heads * o.head_dim}),
        out(w / "attn_output", {o.heads * o.head_dim, o.width}),
        q_norm(w / "attn_q_norm", o.head_dim, o.eps),
        k_norm(w / "attn_k_norm", o.head_dim, o.eps) {}

  Tensor operator()(Tensor x, const Step& step, const Options& o) const {
    const int64_t n = x.dim(1);  // x: {width, n}
    Tensor query = q_norm(reshape(q(x), {o.head_dim, o.heads, n}));
    Tensor key = k_norm(reshape(k(x), {o.head_dim, o.kv_heads, n}));
    Tensor value = reshape(v(x), {o.head_dim, o.kv_heads, n});
    Tensor mixed =
        nn::attention(rope(query, step.positions), rope(key, step.positions), value, step.cache,
                      {.layer = layer, .scale = o.scale, .window = window}, rope);
    return out(reshape(mixed, {o.head_dim * o.heads, n}));
  }
};

struct Block {
  nn::RmsNorm attention_norm, after_attention, feed_norm, after_feed;
  Attention attention;
  nn::GatedFeedForward feed_forward;

  Block(const Weights& w, int64_t i, const Metadata& m, const Options& o)
      : attention_norm(w / "attn_norm", o.width, o.eps),
        after_attention(w / "post_attention_norm", o.width, o.eps),
        feed_norm(w / "ffn_norm", o.width, o.eps),
        after_feed(w / "post_ffw_norm", o.width, o.eps),
        attention(w, i, is_local(m, i), o),
        feed_forward(w, o.width, o.hidden) {}

  static bool is_local(const Metadata& m, int64_t i) {
    constexpr std::string_view kKey = "attention.sliding_window_pattern";
    if (const auto flag = m.flag_of_layer(kKey, i)) return *flag;
    const int64_t period = m.size(kKey, 6);
    return i % period != period - 1;
  }

  Tensor attend(Tensor x, const Step& step, const Options& o) const {
    return x + after_attention(attention(attention_norm(x), step, o));
  }
  Tensor feed(Tensor x, const Options&) const {
    return x + after_feed(feed_forward(feed_norm(x), ml::gelu));
  }
};

class Gemma3 final : public Model {
 public:
  Gemma3(const Metadata& m, const Weights& w)
      : options_(m),
        embedding_(w / "token_embd", options_.width),
        blocks_(nn::repeat<Block>(options_.layers, w / "blk", m, options_)),
        norm_(w / "output_norm", options_.width, options_.eps),
        head_(make_head(w, embedding_)) {}

  Tensor hidden(const Step& step) const override {
    Tensor x = scale(embedding_(step.tokens), options_.embedding_scale);
    return norm_(run_blocks(blocks_, x, step, options_));
  }
  int64_t vocabulary() const override { return embedding_.vocabulary(); }
  Tensor head(Tensor hidden) const override {
    Tensor logits = head_(hidden);
    return options_.logit_cap > 0 ? softcap(logits, options_.logit_cap) : logits;
  }

 private:
  Options options_;
  nn::Embedding embedding_;
  std::vector<Block> blocks_;
  nn::RmsNorm norm_;
  nn::Linear head_;
};

}  // namespace

std::unique_ptr<Model> make_gemma3(const Metadata& metadata, const Weights& weights) {
  return std::make_unique<Gemma3>(metadata, weights);
}

}  // namespace cria::models
