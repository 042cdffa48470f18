#include "nn/nn.h"

#include "base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <unordered_map>

namespace cria::nn {

class TensorIndex {
 public:
  explicit TensorIndex(std::vector<IndexedTensor> tensors) {
    for (IndexedTensor& tensor : tensors) add(std::move(tensor));
  }
  const ml::Node* find(const std::string& name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second;
  }

  // Adds a tensor; the first of a name is the one that is found.
  const ml::Node* add(IndexedTensor tensor) {
    sources_.push_back(std::move(tensor.source));
    nodes_.push_back({.op = ml::Op::kWeight, .shape = tensor.shape, .weight = &sources_.back()});
    by_name_.emplace(sources_.back().name, &nodes_.back());
    return &nodes_.back();
  }

 private:
  std::deque<ml::WeightSource> sources_;  // stable addresses: nodes and graphs point here
  std::deque<ml::Node> nodes_;
  std::unordered_map<std::string_view, const ml::Node*> by_name_;
};

std::shared_ptr<TensorIndex> make_tensor_index(std::vector<IndexedTensor> tensors) {
  return std::make_shared<TensorIndex>(std::move(tensors));
}

Weights::Weights(std::shared_ptr<TensorIndex> index, std::string prefix)
    : index_(std::move(index)), prefix_(std::move(prefix)) {}

Weights Weights::operator/(std::string_view name) const {
  return Weights(index_, fmt::format("{}{}.", prefix_, name));
}

Weights Weights::operator/(int64_t index) const {
  return Weights(index_, fmt::format("{}{}.", prefix_, index));
}

ml::Tensor Weights::find(std::string_view leaf) const {
  return {nullptr, index_->find(prefix_ + std::string(leaf))};
}

ml::Tensor Weights::require(std::string_view leaf) const {
  const ml::Tensor tensor = find(leaf);
  if (!tensor)
    fail(ErrorKind::kInvalidInput, "the model file lacks the tensor \"{}{}\"", prefix_, leaf);
  return tensor;
}

ml::Tensor Weights::require(std::string_view leaf, const ml::Shape& shape) const {
  const ml::Tensor tensor = require(leaf);
  if (tensor.shape() != shape)
    fail(ErrorKind::kInvalidInput, "the tensor \"{}{}\" has the shape [{}], expected [{}]", prefix_,
         leaf, fmt::join(tensor.shape(), ", "), fmt::join(shape, ", "));
  return tensor;
}

bool Weights::has(std::string_view leaf) const {
  return static_cast<bool>(find(leaf));
}

Linear::Linear(const Weights& w, Size size)
    : weight(w.require("weight", {size.in, size.out, 1, 1})) {
  if (w.has("bias")) bias = w.require("bias", {size.out, 1, 1, 1});
}

ml::Tensor Linear::operator()(ml::Tensor x) const {
  const ml::Tensor y = ml::matmul(weight, x);
  return bias ? y + bias : y;
}

Embedding::Embedding(const Weights& w, int64_t width) : weight(w.require("weight")) {
  weight = w.require("weight", {width, std::max<int64_t>(1, weight.dim(1)), 1, 1});
}

void KvCache::declare(int64_t layer, const ml::KvLayerLayout& layout) {
  CRIA_CHECK(layer == static_cast<int64_t>(layout_.layers.size()), "layers are declared in order");
  layout_.layers.push_back(layout);
}

ml::Tensor attention(ml::Tensor q, ml::Tensor k, ml::Tensor v, KvCache& cache,
                     const ml::AttentionSpec& spec, const Rope& rope) {
  cache.declare(spec.layer, {.kv_heads = k.dim(1),
                             .key_dim = k.dim(0),
                             .value_dim = v.dim(0),
                             .window = spec.window,
                             .rope = rope.spec,
                             .rope_factors = rope.factors ? rope.factors.node()->weight : nullptr});
  return ml::attention(q, k, v, spec);
}

}  // namespace cria::nn
