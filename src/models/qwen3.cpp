// qwen3.cpp - Qwen 3: pre-norm decoder that normalises every head of q and k before the rotary
// positions (on halves), without biases, and a SwiGLU feed-forward block.
//
// GGUF architecture "qwen3". Reference: transformers, models/qwen3/modeling_qwen3.py. Shapes are
// {fastest, ..., slowest}; n is the number of tokens in the step.

#include "models/decoder.h"
#include "nn/nn.h"

namespace cria::models {
namespace {

using ml::Tensor;
using nn::Weights;

struct Options : DecoderSizes {
  nn::Rope rope;

  Options(const Metadata& m, const Weights& w)
      : DecoderSizes(m),
        rope{rope_spec(m, head_dim, ml::RopeLayout::kHalves), (w / "rope_freqs").find("weight")} {}
};

struct Attention {
  int64_t layer;
  nn::Linear q, k, v, out;
  nn::RmsNorm q_norm, k_norm;  // of every head

  Attention(const Weights& w, int64_t i, const Options& o)
      : layer(i),
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
    Tensor mixed = nn::attention(o.rope(query, step.positions), o.rope(key, step.positions), value,
                                 step.cache, {.layer = layer, .scale = o.scale}, o.rope);
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

class Qwen3 final : public Model {
 public:
  Qwen3(const Metadata& m, const Weights& w)
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

std::unique_ptr<Model> make_qwen3(const Metadata& metadata, const Weights& weights) {
  return std::make_unique<Qwen3>(metadata, weights);
}

}  // namespace cria::models
