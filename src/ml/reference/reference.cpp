#include "ml/reference/reference.h"

#include "base/error.h"
#include "ml/reference/buffers.h"
#include "ml/reference/kv_store.h"
#include "ml/reference/ops.h"
#include "ml/reference/weights.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <unordered_map>
#include <utility>

namespace cria::ml::reference {
namespace {

class ReferencePlan final : public Plan {
 public:
  ReferencePlan(const Graph& graph, const CompileOptions& options)
      : graph_(graph), tap_(options.tap), buffers_(graph), values_(graph.nodes().size(), nullptr) {
    load_weights(options);
    for (const Node& node : graph.nodes()) values_[index(node)] = buffers_.of(node);
  }

  void run(const StepInput& step, KvStore& kv, std::span<float> logits) override {
    CRIA_CHECK(static_cast<int64_t>(step.tokens.size()) <= graph_.capacity(), "step over capacity");
    step_ = &step;
    kv_ = dynamic_cast<FloatKvStore*>(&kv);
    CRIA_CHECK(kv_ != nullptr, "a cache made by this backend");
    const Node* result = step.hidden ? graph_.hidden() : graph_.result();
    CRIA_CHECK(result != nullptr, "a graph with hidden states");
    CRIA_CHECK(logits.size() == live(*result).size(), "room for the results");
    float* const own = std::exchange(values_[index(*result)], logits.data());
    for (const Node& node : graph_.nodes()) {
      if (node.op == Op::kInput) continue;
      begun_.fetch_add(1, std::memory_order_relaxed);
      execute(node, live(node));
      if (tap_) tell(node);
      if (&node == result) break;
    }
    values_[index(*result)] = own;
  }

  int64_t weight_bytes() const override {
    size_t elements = 0;
    for (const auto& [node, values] : weights_) elements += values.size();
    return static_cast<int64_t>(elements * sizeof(float));
  }
  int64_t scratch_bytes() const override { return buffers_.bytes(); }
  // Never "running": one node of it may take longer than others wait for a stage.
  PlanProgress progress() const noexcept override {
    return {.running = false, .stages = begun_.load(std::memory_order_relaxed)};
  }

 private:
  static size_t index(const Node& node) { return static_cast<size_t>(node.id); }

  void load_weights(const CompileOptions& options) {
    std::vector<const Node*> wanted;
    for (const Node& node : graph_.nodes())
      for (const Node* in : node.in)
        if (in != nullptr && in->op == Op::kWeight && weights_.try_emplace(in).second)
          wanted.push_back(in);
    int64_t total = 0, loaded = 0;
    for (const Node* node : wanted) total += node->weight->bytes;
    for (const Node* node : wanted) {
      const Shape& s = node->shape;
      weights_[node] = load_floats(*node->weight, s[0] * s[1] * s[2] * s[3]);
      loaded += node->weight->bytes;
      if (options.progress)
        options.progress(static_cast<double>(loaded) / static_cast<double>(total));
    }
  }

  // The rows of the node that this step computes.
  Output live(const Node& node) {
    const size_t rows = node.axis == Axis::kOutputs ? step_->outputs.size() : step_->tokens.size();
    return {values_[index(node)], rows * static_cast<size_t>(row_elements(graph_, node))};
  }

  Input input(const Node& node, size_t i) {
    const Node* in = node.in[i];
    if (in == nullptr) return {};
    if (in->op == Op::kWeight) return weights_.find(in)->second;
    return live(*in);
  }

  std::span<const int32_t> ids(const Node* node) const {
    if (node == graph_.tokens().node()) return step_->tokens;
    if (node == graph_.positions().node()) return step_->positions;
    if (node == graph_.segments().node()) return step_->segments;
    CRIA_CHECK(node == graph_.outputs().node(), "ids are inputs of the graph");
    return step_->outputs;
  }

  void execute(const Node& node, Output y) {
    const Input a = input(node, 0);
    switch (node.op) {
      case Op::kInput:
      case Op::kWeight:
        break;
      case Op::kRows:
        return gather_rows(a, ids(node.in[1]), y);
      case Op::kMatmul:
        return matmul(a, input(node, 1), node.in[0]->shape[0], y);
      case Op::kAdd:
        return add(a, input(node, 1), y);
      case Op::kMul:
        return multiply(a, input(node, 1), y);
      case Op::kScale:
        return scale(a, node.scalar, y);
      case Op::kRmsNorm:
        return rms_norm(a, input(node, 1), node.shape[0], node.scalar, y);
      case Op::kLayerNorm:
        return layer_norm(a, node.shape[0], node.scalar, y);
      case Op::kSilu:
        return silu(a, y);
      case Op::kGelu:
        return gelu(a, y);
      case Op::kGeluErf:
        return gelu_erf(a, y);
      case Op::kSoftcap:
        return softcap(a, node.scalar, y);
      case Op::kReshape:
        std::ranges::copy(a, y.begin());
        return;
      case Op::kRope:
        return rope(node, a, y);
      case Op::kAttention:
        return attention({.q = a,
                          .k = input(node, 1),
                          .v = input(node, 2),
                          .sequences = step_->sequences,
                          .heads = node.shape[1]},
                         node.attention, *kv_, y);
    }
    CRIA_CHECK(false, "an op that compile accepted");
  }

  void rope(const Node& node, Input x, Output y) {
    std::ranges::copy(x, y.begin());
    const std::span<const int32_t> positions = ids(node.in[1]);
    const auto token = static_cast<size_t>(node.shape[0] * node.shape[1]);
    for (size_t i = 0; i < positions.size(); ++i)
      rotate(y.subspan(i * token, token), node.shape[0],
             {node.rope, input(node, 2), static_cast<double>(positions[i]),
              double{node.rope.attention_factor}});
  }

  void tell(const Node& node) {
    const Output values = live(node);
    const int64_t rows = static_cast<int64_t>(values.size()) / row_elements(graph_, node);
    for (const Graph::Mark& mark : graph_.marks())
      if (mark.node == &node) tap_(mark.name, values, rows);
  }

  const Graph& graph_;
  Tap tap_;
  Buffers buffers_;
  std::vector<float*> values_;  // by node id
  std::unordered_map<const Node*, std::vector<float>> weights_;
  const StepInput* step_ = nullptr;  // of the run in progress
  FloatKvStore* kv_ = nullptr;
  std::atomic<uint64_t> begun_ = 0;  // nodes, in all runs
};

class ReferenceBackend final : public Backend {
 public:
  std::string_view name() const override { return "reference"; }
  bool supports(const Node&) const override { return true; }
  std::unique_ptr<Plan> compile(const Graph& graph, const CompileOptions& options) override {
    CRIA_CHECK(graph.result() != nullptr, "a graph with a result");
    try {
      return std::make_unique<ReferencePlan>(graph, options);
    } catch (const std::bad_alloc&) {
      fail(ErrorKind::kOutOfMemory, "no memory for the weights of the model as float32");
    }
  }
  std::unique_ptr<KvStore> allocate_kv(const KvLayout& layout, int64_t pages) override {
    return std::make_unique<FloatKvStore>(layout, pages);
  }
};

}  // namespace

std::unique_ptr<Backend> make_reference() {
  return std::make_unique<ReferenceBackend>();
}

}  // namespace cria::ml::reference
