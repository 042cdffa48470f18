// decoder.h - what all decoders share: their sizes, how they read rope settings, and how blocks
// follow each other. What a block does is in the file of its model.
#pragma once

#include "models/model.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace cria::models {

// Sizes that every decoder states, checked against each other.
struct DecoderSizes {
  explicit DecoderSizes(const Metadata& m);

  int64_t layers, width, hidden, heads, kv_heads, head_dim;
  float eps;
  float scale;  // of the attention scores
};

// Base frequency and scaling (none, linear, yarn) from the rope.* keys. Throws Error{kUnsupported}
// for another kind of scaling.
ml::RopeSpec rope_spec(const Metadata& m, int64_t head_dim, ml::RopeLayout layout);

// Head weights: "output", or the embedding when the file has none.
nn::Linear make_head(const nn::Weights& w, const nn::Embedding& embedding);

// A block gives attend(x, step, options) and feed(x, options), each with its residual. The last
// block feeds only the rows whose logits are wanted: {width, outputs}.
template <class Block, class Options>
ml::Tensor run_blocks(const std::vector<Block>& blocks, ml::Tensor x, const Step& step,
                      const Options& options) {
  x.graph()->mark(x, "embedding");
  for (size_t i = 0; i < blocks.size(); ++i) {
    x = blocks[i].attend(x, step, options);
    if (i + 1 == blocks.size()) x = rows(x, step.outputs);
    x = blocks[i].feed(x, options);
    x.graph()->mark(x, "layer " + std::to_string(i));
  }
  return x;
}

// bert.cpp: an encoder, which shares run_blocks only.
std::unique_ptr<Model> make_bert(const Metadata& metadata, const nn::Weights& weights);

std::unique_ptr<Model> make_llama(const Metadata& metadata, const nn::Weights& weights);
std::unique_ptr<Model> make_qwen2(const Metadata& metadata, const nn::Weights& weights);
std::unique_ptr<Model> make_qwen3(const Metadata& metadata, const nn::Weights& weights);
std::unique_ptr<Model> make_gemma3(const Metadata& metadata, const nn::Weights& weights);

}  // namespace cria::models
