// graph.h - the graph language: Tensor handles, nodes, and the ops that models are written in.
//
// A graph describes one step of a model for at most `capacity` tokens. The slowest dimension of an
// activation counts the step's tokens or its output rows; it is built at capacity, and a compiled
// plan runs with any smaller number of live rows. So a model's graph is built and planned once, and
// costs nothing per token. Nothing is computed here.
#pragma once

#include "base/file.h"
#include "quant/dtype.h"

#include <array>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace cria::ml {

using quant::DType;
// {fastest, ..., slowest}; unused dims are 1.
using Shape = std::array<int64_t, 4>;

enum class Op : uint8_t {
  kInput,    // tokens, positions, segments or outputs of the step
  kWeight,   // a tensor of the model file
  kRows,     // in: table {w, v}, ids {n} -> {w, n}; also activations {w, n}, outputs {m} -> {w, m}
  kMatmul,   // in: weight {k, r}, x {k, n} -> {r, n}
  kAdd,      // in: a, b of one shape, or b a weight {w} added to every row
  kMul,      // likewise
  kScale,    // in: x; x * scalar
  kRmsNorm,  // in: x, optional weight {w}; over the fastest dimension
  kLayerNorm,  // in: x; to mean 0 and variance 1 over the fastest dimension
  kSilu,       // in: x
  kGelu,       // in: x; tanh approximation
  kGeluErf,    // in: x; exact: x * (1 + erf(x / sqrt(2))) / 2
  kRope,       // in: x {d, heads, n}, positions {n}, optional factors {dims / 2}
  kAttention,  // in: q {d, heads, n}, k {d, kv_heads, n}, v {dv, kv_heads, n} -> {dv, heads, n}
  kSoftcap,    // in: x; cap * tanh(x / cap)
  kReshape,    // in: x; same elements, same order
};

// What the slowest dimension of a node counts.
enum class Axis : uint8_t { kNone, kTokens, kOutputs };

enum class RopeLayout : uint8_t { kInterleaved, kHalves };

// angle of pair i at position p: p * linear_scale * base^(-2i/dims) / factors[i]; with YaRN
// (extension != 0) blended as in arXiv 2309.00071, ramp between beta_fast and beta_slow rotations
// over original_context positions, and cos and sin multiplied by attention_factor.
struct RopeSpec {
  int64_t dims = 0;  // of each head, from the front; the rest passes through
  float base = 10000.0f;
  float linear_scale = 1.0f;
  RopeLayout layout = RopeLayout::kInterleaved;
  float extension = 0.0f, attention_factor = 1.0f, beta_fast = 32.0f, beta_slow = 1.0f;
  int64_t original_context = 0;
  bool operator==(const RopeSpec&) const = default;
};

// softmax(scale * q.k [soft-capped], causal, last `window` positions only when window > 0) * v.
// Not causal: every row sees all positions up to the last one that the step has of its sequence, so
// a step has to hold the whole sequence.
struct AttentionSpec {
  int64_t layer = 0;  // index of its cache
  float scale = 1.0f;
  int64_t window = 0;
  float softcap = 0.0f;
  bool causal = true;
};

// Where a weight's bytes are. Rows are contiguous blocks of `dtype`.
struct WeightSource {
  std::string name;
  DType dtype = DType::kF32;
  std::shared_ptr<const File> file;
  int64_t offset = 0;
  int64_t bytes = 0;
};

struct Node {
  Op op;
  Axis axis = Axis::kNone;
  Shape shape{1, 1, 1, 1};
  std::array<const Node*, 4> in{};
  float scalar = 0;  // kScale: factor; kRmsNorm, kLayerNorm: eps; kSoftcap: cap
  RopeSpec rope;
  AttentionSpec attention;
  const WeightSource* weight = nullptr;  // kWeight; owned by nn::TensorIndex, which outlives graphs
  int64_t id = 0;                        // order of creation, which is a valid order of execution
};

class Graph;

// A cheap handle. An empty Tensor stands for an absent optional weight.
class Tensor {
 public:
  Tensor() = default;
  Tensor(Graph* graph, const Node* node) : graph_(graph), node_(node) {}
  explicit operator bool() const { return node_ != nullptr; }
  int64_t dim(int i) const { return node_->shape[static_cast<size_t>(i)]; }
  const Shape& shape() const { return node_->shape; }
  const Node* node() const { return node_; }
  Graph* graph() const { return graph_; }  // null for weights, which belong to no graph

 private:
  Graph* graph_ = nullptr;
  const Node* node_ = nullptr;
};

// Owns its nodes. `capacity` is the largest number of tokens of a step.
class Graph {
 public:
  explicit Graph(int64_t capacity);
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  int64_t capacity() const { return capacity_; }
  Tensor tokens() const { return tokens_; }        // {n} ids
  Tensor positions() const { return positions_; }  // {n} position in its sequence
  Tensor segments() const { return segments_; }    // {n} which part of a text a row belongs to
  Tensor outputs() const { return outputs_; }      // {m} rows whose logits are wanted
  const Node* add(Node node);
  const std::deque<Node>& nodes() const { return nodes_; }
  void set_result(Tensor logits) { result_ = logits.node(); }  // {vocab, m}
  const Node* result() const { return result_; }
  // What the result is computed from, {width, m}: rows of it are given instead to steps that ask.
  void set_hidden(Tensor hidden) { hidden_ = hidden.node(); }
  const Node* hidden() const { return hidden_; }  // null: there is none
  // Names a node for traces and tests ("layer 3"). A pass may not remove a marked node.
  void mark(Tensor tensor, std::string name) { marks_.push_back({tensor.node(), std::move(name)}); }
  struct Mark {
    const Node* node;
    std::string name;
  };
  const std::vector<Mark>& marks() const { return marks_; }

 private:
  int64_t capacity_;
  std::vector<Mark> marks_;
  std::deque<Node> nodes_;  // stable addresses
  Tensor tokens_, positions_, segments_, outputs_;
  const Node* result_ = nullptr;
  const Node* hidden_ = nullptr;
};

// Each function adds one node, infers the result's shape, and throws Error{kInvalidInput} naming
// both shapes when they do not fit: shapes come from model files.
Tensor matmul(Tensor weight, Tensor x);
Tensor rows(Tensor table, Tensor ids);
Tensor operator+(Tensor a, Tensor b);
Tensor operator*(Tensor a, Tensor b);
Tensor scale(Tensor x, float factor);
Tensor rms_norm(Tensor x, Tensor weight, float eps);  // weight may be empty
Tensor layer_norm(Tensor x, float eps);               // without weight and bias
Tensor silu(Tensor x);
Tensor gelu(Tensor x);
Tensor gelu_erf(Tensor x);
Tensor rope(Tensor x, Tensor positions, Tensor factors, const RopeSpec& spec);
Tensor attention(Tensor q, Tensor k, Tensor v, const AttentionSpec& spec);
Tensor softcap(Tensor x, float cap);
Tensor reshape(Tensor x, std::initializer_list<int64_t> shape);

}  // namespace cria::ml
