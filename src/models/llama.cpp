// llama.cpp - Llama 1 to 3, Mistral, SmolLM: pre-norm decoder with grouped-query attention, rotary
// positions on neighbouring pairs and a SwiGLU feed-forward block.
//
// GGUF architectures "llama", "mistral3" (its text part) and "smollm3" (every fourth layer has no
// positions). Reference: transformers, models/llama/modeling_llama.py. Shapes are {fastest, ...,
// slowest}; n is the number of tokens in the step.

#include "base/error.h"
#include "models/decoder.h"
#include "nn/nn.h"

namespace cria::models {
namespace {

using ml::Tensor;
using nn::Weights;

struct Options : DecoderSizes {
  nn::Rope rope;
  int64_t window;             // 0: attend to everything
  int64_t no_rope_every = 0;  // 0: every layer has positions

  Options(const Metadata& m, const Weights& w)
      : DecoderSizes(m),
        rope{rope_spec(m, head_dim, ml::RopeLayout::kInterleaved),
             (w / "rope_freqs").find("weight")},
        window(m.count("attention.sliding_window", 0)) {
    if (m.architecture() == "smollm3") no_rope_every = 4;
    if (m.count("expert_count", 0) > 0)
      fail(ErrorKind::kUnsupported, "{}: mixture-of-experts weights are not supported",
           m.architecture());
    if (m.number("attention.temperature_scale", m.number("rope.scaling_beta", 0.0f)) != 0.0f)
      fail(ErrorKind::kUnsupported, "{}: attention temperature by position is not supported",
           m.architecture());
  }
};

struct Attention {
  int64_t layer;
  nn::Linear q, k, v, out;

  Attention(const Weights& w, int64_t i, const Options& o)
      : layer(i),
        q(w / "attn_q", {o.width, o.heads * o.head_dim}),
        k(w / "attn_k", {o.width, o.kv_heads * o.head_dim}),
        v(w / "attn_v", {o.width, o.kv_heads * o.head_dim}),
        out(w / "attn_output", {o.heads * o.head_dim, o.width}) {}

  Tensor operator()(Tensor x, const Step& step, const Options& o) const {
    const int64_t n = x.dim(1);  // x: {width, n}
    const bool rotated = o.no_rope_every == 0 || (layer + 1) % o.no_rope_every != 0;
    Tensor query = reshape(q(x), {o.head_dim, o.heads, n});
    Tensor key = reshape(k(x), {o.head_dim, o.kv_heads, n});
    Tensor value = reshape(v(x), {o.head_dim, o.kv_heads, n});
    if (rotated) query = o.rope(query, step.positions), key = o.rope(key, step.positions);
    Tensor mixed = nn::attention(query, key, value, step.cache,
                                 {.layer = layer, .scale = o.scale, .window = o.window},
                                 rotated ? o.rope : nn::Rope{});
    return out(reshape(mixed, {o.head_dim * o.heads, n}));
  }
};

struct Block {
  nn::RmsNorm attention_norm, feed_norm;
  Attention attention;
  nn::GatedFeedForward feed_forward;

  Block(const Weights& w, int64_t i, const Options& o)
      : attention_norm(w / "attn_norm", o.width, o.eps),
        feed_norm(w / "ffn_norm", o.width, o.eps),
        attention(w, i, o),
        feed_forward(w, o.width, o.hidden) {}

  Tensor attend(Tensor x, const Step& step, const Options& o) const {
    return x + attention(attention_norm(x), step, o);
  }
  Tensor feed(Tensor x, const Options&) const { return x + feed_forward(feed_norm(x), ml::silu); }
};

class Llama final : public Model {
 public:
  Llama(const Metadata& m, const Weights& w)
      : options_(m, w),
        embedding_(w / "token_embd", options_.width),
        blocks_(nn::repeat<Block>(options_.layers, w / "blk", options_)),
        norm_(w / "output_norm", options_.width, options_.eps),
        head_(make_head(w, embedding_)) {}

  Tensor hidden(const Step& step) const override {
    return norm_(run_blocks(blocks_, embedding_(step.tokens), step, options_));
  }
  Tensor head(Tensor hidden) const override { return head_(hidden); }
  int64_t vocabulary() const override { return embedding_.vocabulary(); }

 private:
  Options options_;
  nn::Embedding embedding_;
  std::vector<Block> blocks_;
  nn::RmsNorm norm_;
  nn::Linear head_;
};

}  // namespace

std::unique_ptr<Model> make_llama(const Metadata& metadata, const Weights& weights) {
  return std::make_unique<Llama>(metadata, weights);
}

}  // namespace cria::models
