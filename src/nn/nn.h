// nn.h - layers shared by all models. A layer owns handles to its weights; its operator() builds
// nodes.
#pragma once

#include "ml/backend.h"
#include "ml/graph.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cria::nn {

// All tensors of one model file as weight nodes; counts which were asked for.
class TensorIndex;

struct IndexedTensor {
  ml::WeightSource source;
  ml::Shape shape{1, 1, 1, 1};
};
std::shared_ptr<TensorIndex> make_tensor_index(std::vector<IndexedTensor> tensors);

// The tensors of one model file, addressed by path: w / "blk" / 3 / "attn_q" is "blk.3.attn_q".
class Weights {
 public:
  explicit Weights(std::shared_ptr<TensorIndex> index, std::string prefix = {});
  Weights operator/(std::string_view name) const;
  Weights operator/(int64_t index) const;
  ml::Tensor require(std::string_view leaf) const;  // throws Error naming the full path
  // Also when the shape is another one, naming both.
  ml::Tensor require(std::string_view leaf, const ml::Shape& shape) const;
  ml::Tensor find(std::string_view leaf) const;  // empty Tensor when absent
  bool has(std::string_view leaf) const;

 private:
  std::shared_ptr<TensorIndex> index_;
  std::string prefix_;
};

struct Linear {
  ml::Tensor weight, bias;
  struct Size {
    int64_t in, out;
  };
  Linear(const Weights& w, Size size);
  ml::Tensor operator()(ml::Tensor x) const;
};

struct Embedding {
  ml::Tensor weight;
  Embedding(const Weights& w, int64_t width);
  int64_t vocabulary() const { return weight.dim(1); }
  ml::Tensor operator()(ml::Tensor ids) const { return ml::rows(weight, ids); }
};

struct RmsNorm {
  ml::Tensor weight;
  float eps;
  RmsNorm(const Weights& w, int64_t width, float epsilon)
      : weight(w.require("weight", {width, 1, 1, 1})), eps(epsilon) {}
  ml::Tensor operator()(ml::Tensor x) const { return ml::rms_norm(x, weight, eps); }
};

// Over the fastest dimension, with weight and bias.
struct LayerNorm {
  ml::Tensor weight, bias;
  float eps;
  LayerNorm(const Weights& w, int64_t width, float epsilon)
      : weight(w.require("weight", {width, 1, 1, 1})),
        bias(w.require("bias", {width, 1, 1, 1})),
        eps(epsilon) {}
  ml::Tensor operator()(ml::Tensor x) const { return ml::layer_norm(x, eps) * weight + bias; }
};

struct Rope {
  ml::RopeSpec spec;
  ml::Tensor factors;  // optional per-frequency divisors
  ml::Tensor operator()(ml::Tensor x, ml::Tensor positions) const {
    return ml::rope(x, positions, factors, spec);
  }
};

// down(activation(gate(x)) * up(x)): SwiGLU with silu, GeGLU with gelu.
struct GatedFeedForward {
  Linear gate, up, down;
  GatedFeedForward(const Weights& w, int64_t width, int64_t hidden)
      : gate(w / "ffn_gate", {width, hidden}),
        up(w / "ffn_up", {width, hidden}),
        down(w / "ffn_down", {hidden, width}) {}
  ml::Tensor operator()(ml::Tensor x, ml::Tensor (*activation)(ml::Tensor)) const {
    return down(activation(gate(x)) * up(x));
  }
};

// What the attention layers of a model need of the KV cache, collected while its graph is built.
class KvCache {
 public:
  void declare(int64_t layer, const ml::KvLayerLayout& layout);
  const ml::KvLayout& layout() const { return layout_; }

 private:
  ml::KvLayout layout_;
};

// Stores k and v in the cache, then attends over everything the row may see. `rope` is how q and k
// were rotated: the cache needs it to shift.
ml::Tensor attention(ml::Tensor q, ml::Tensor k, ml::Tensor v, KvCache& cache,
                     const ml::AttentionSpec& spec, const Rope& rope);

template <class Layer, class... Args>
std::vector<Layer> repeat(int64_t count, const Weights& w, Args&&... args) {
  constexpr int64_t kLikely = 256;  // the count is only believed as far as there are tensors
  std::vector<Layer> layers;
  layers.reserve(static_cast<size_t>(std::min(count, kLikely)));
  for (int64_t i = 0; i < count; ++i) layers.emplace_back(w / i, i, args...);
  return layers;
}

}  // namespace cria::nn
