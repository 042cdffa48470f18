// bert.cpp - BERT and its kin (MiniLM, bge, e5, mxbai, arctic-embed): a post-norm encoder with
// learned positions, biases everywhere, and attention to the whole text. It only embeds, or, as a
// cross-encoder with a head on its first token, ranks pairs of texts.
//
// GGUF architecture "bert". Reference: transformers, models/bert/modeling_bert.py. Shapes are
// {fastest, ..., slowest}; n is the number of tokens in the step.

#include "base/error.h"
#include "models/decoder.h"
#include "nn/nn.h"

#include <cmath>
#include <optional>

namespace cria::models {
namespace {

using ml::Tensor;
using nn::Weights;

struct Options {
  int64_t layers, width, hidden, heads, head_dim;
  float eps;

  explicit Options(const Metadata& m)
      : layers(m.size("block_count")),
        width(m.size("embedding_length")),
        hidden(m.size("feed_forward_length")),
        heads(m.size("attention.head_count")),
        head_dim(width / heads),
        eps(m.number("attention.layer_norm_epsilon")) {
    if (width % heads != 0)
      fail(ErrorKind::kInvalidInput, "bert.embedding_length {} is not a multiple of head_count {}",
           width, heads);
    if (eps < 0)
      fail(ErrorKind::kInvalidInput, "bert.attention.layer_norm_epsilon is {}, expected 0 or more",
           eps);
  }
};

struct Attention {
  int64_t layer;
  nn::Linear q, k, v, out;

  Attention(const Weights& w, int64_t i, const Options& o)
      : layer(i),
        q(w / "attn_q", {o.width, o.width}),
        k(w / "attn_k", {o.width, o.width}),
        v(w / "attn_v", {o.width, o.width}),
        out(w / "attn_output", {o.width, o.width}) {}

  Tensor operator()(Tensor x, const Step& step, const Options& o) const {
    const int64_t n = x.dim(1);  // x: {width, n}
    const auto heads = [&](Tensor y) { return reshape(y, {o.head_dim, o.heads, n}); };
    const float scale = 1.0f / std::sqrt(static_cast<float>(o.head_dim));
    Tensor mixed = nn::attention(heads(q(x)), heads(k(x)), heads(v(x)), step.cache,
                                 {.layer = layer, .scale = scale, .causal = false}, {});
    return out(reshape(mixed, {o.width, n}));
  }
};

struct Block {
  Attention attention;
  nn::LayerNorm after_attention, after_feed;
  nn::Linear up, down;

  Block(const Weights& w, int64_t i, const Options& o)
      : attention(w, i, o),
        after_attention(w / "attn_output_norm", o.width, o.eps),
        after_feed(w / "layer_output_norm", o.width, o.eps),
        up(w / "ffn_up", {o.width, o.hidden}),
        down(w / "ffn_down", {o.hidden, o.width}) {}

  Tensor attend(Tensor x, const Step& step, const Options& o) const {
    return after_attention(x + attention(x, step, o));
  }
  Tensor feed(Tensor x, const Options&) const { return after_feed(x + down(ml::gelu_erf(up(x)))); }
};

// tanh(dense(first token)), the pooler that classifiers were trained behind, and one score. Files
// without the dense layer take the first token as it is.
struct RankHead {
  std::optional<nn::Linear> dense;
  nn::Linear out;

  RankHead(const Weights& w, const Options& o) : out(w / "output", {o.width, 1}) {
    if (w.has("weight")) dense.emplace(w, nn::Linear::Size{o.width, o.width});
  }
  Tensor operator()(Tensor x) const { return out(dense ? ml::softcap((*dense)(x), 1) : x); }
};

class Bert final : public Model {
 public:
  Bert(const Metadata& m, const Weights& w)
      : options_(m),
        tokens_(w / "token_embd", options_.width),
        positions_(w / "position_embd", options_.width),
        types_(w / "token_types", options_.width),
        norm_(w / "token_embd_norm", options_.width, options_.eps),
        blocks_(nn::repeat<Block>(options_.layers, w / "blk", options_)) {
    if (positions_.vocabulary() < m.size("context_length"))
      fail(ErrorKind::kInvalidInput,
           "bert.context_length is {}, but position_embd.weight has only {} positions",
           m.size("context_length"), positions_.vocabulary());
    if (const Weights head = w / "cls"; (head / "output").has("weight"))
      head_.emplace(head, options_);
  }

  Tensor hidden(const Step& step) const override {
    Tensor x = tokens_(step.tokens) + types_(step.segments) + positions_(step.positions);
    return run_blocks(blocks_, norm_(x), step, options_);
  }
  Tensor head(Tensor hidden) const override { return head_ ? (*head_)(hidden) : Tensor(); }
  int64_t vocabulary() const override { return tokens_.vocabulary(); }
  bool causal() const override { return false; }
  int64_t segments() const override { return types_.vocabulary(); }

 private:
  Options options_;
  nn::Embedding tokens_, positions_, types_;
  nn::LayerNorm norm_;
  std::vector<Block> blocks_;
  std::optional<RankHead> head_;
};

}  // namespace

std::unique_ptr<Model> make_bert(const Metadata& metadata, const Weights& weights) {
  return std::make_unique<Bert>(metadata, weights);
}

}  // namespace cria::models
