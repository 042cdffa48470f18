// nn.h - layers shared by all models. A layer owns handles to its weights; its operator() builds nodes.
#pragma once

#include "ml/backend.h"
#include "ml/graph.h"

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
  ml::Tensor find(std::string_view leaf) const;     // empty Tensor when absent
  bool has(std::string_view leaf) const;

 private:
  std::shared_ptr<TensorIndex> index_;
  std::string prefix_;
};

struct Linear {
  ml::Tensor weight, bias;
  explicit Linear(const Weights& w) : weight(w.require("weight")), bias(w.find("bias")) {}
  ml::Tensor operator()(ml::Tensor x) const;
};

struct Embedding {
  ml::Tensor weight;
  explicit Embedding(const Weights& w) : weight(w.require("weight")) {}
  ml::Tensor operator()(ml::Tensor ids) const { return ml::rows(weight, ids); }
};

struct RmsNorm {
  ml::Tensor weight;
  float eps;
  RmsNorm(const Weights& w, float epsilon) : weight(w.require("weight")), eps(epsilon) {}
  ml::Tensor operator()(ml::Tensor x) const { return ml::rms_norm(x, weight, eps); }
};

struct Rope {
  ml::RopeSpec spec;
  ml::Tensor factors;  // optional per-frequency divisors
  ml::Tensor operator()(ml::Tensor x, ml::Tensor positions) const {
    return ml::rope(x, positions, factors, spec);
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
  std::vector<Layer> layers;
  layers.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) layers.emplace_back(w / i, i, args...);
  return layers;
}

}  // namespace cria::nn
