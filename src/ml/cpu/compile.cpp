// compile.cpp - graph to program: which nodes form a stage, and which memory each value gets.

#include "base/error.h"
#include "ml/cpu/program.h"
#include "ml/cpu/rope_table.h"

#include <algorithm>
#include <map>
#include <set>

namespace cria::ml::cpu {
namespace {

int64_t elements(const Node* node) {
  return node->shape[0] * node->shape[1] * node->shape[2] * node->shape[3];
}

const Node* resolve(const Node* node) {
  while (node != nullptr && node->op == Op::kReshape) node = node->in[0];
  return node;
}

bool is_leaf(const Node* node) {
  return node->op == Op::kInput || node->op == Op::kWeight;
}

// A stage while the graph is being cut: which nodes it computes.
struct Draft {
  enum class Kind : uint8_t { kRows, kMatmul, kAttention } kind;
  Axis axis;
  std::vector<const Node*> nodes;
};

struct Value {
  size_t defined = 0, last_use = 0;  // stage numbers
  Ref ref;
};

class Compiler {
 public:
  Compiler(const Graph& graph, const WeightSet& weights, int threads)
      : graph_(graph), weights_(weights), threads_(threads) {}

  Program run() {
    CRIA_CHECK(graph_.result() != nullptr, "a graph has a result");
    mark_live(resolve(graph_.result()));
    cut_stages();
    find_lifetimes();
    place_values();
    emit();
    return std::move(program_);
  }

 private:
  int64_t width(const Node* node) const { return elements(node) / graph_.capacity(); }
  int64_t rows() const { return std::max<int64_t>(graph_.capacity(), threads_); }

  void mark_live(const Node* node) {
    if (node == nullptr || !live_.insert(node).second) return;
    for (const Node* input : node->in) mark_live(resolve(input));
  }

  // ---- which nodes form a stage ----

  void cut_stages() {
    std::set<const Node*> done;
    rows_stage(Axis::kTokens);
    for (const Node& node : graph_.nodes()) {
      if (!live_.contains(&node) || is_leaf(&node) || done.contains(&node)) continue;
      if (node.op == Op::kMatmul) {
        rows_stage(node.axis);  // room for the quantisation of the input
        drafts_.push_back(
            {.kind = Draft::Kind::kMatmul, .axis = node.axis, .nodes = siblings(&node)});
        done.insert(drafts_.back().nodes.begin(), drafts_.back().nodes.end());
      } else if (node.op == Op::kAttention) {
        rows_stage(node.axis);  // room for writing keys and values
        drafts_.push_back({.kind = Draft::Kind::kAttention, .axis = node.axis, .nodes = {&node}});
        rows_stage(node.axis);  // room for the merge
      } else {
        rows_stage(node.axis).nodes.push_back(&node);
      }
    }
    for (size_t i = 0; i < drafts_.size(); ++i)
      for (const Node* node : drafts_[i].nodes) values_[node].defined = i;
  }

  Draft& rows_stage(Axis axis) {
    if (drafts_.empty() || drafts_.back().kind != Draft::Kind::kRows || drafts_.back().axis != axis)
      drafts_.push_back({.kind = Draft::Kind::kRows, .axis = axis, .nodes = {}});
    return drafts_.back();
  }

  // All matmuls of the same input: they depend on nothing else, so they can run together.
  std::vector<const Node*> siblings(const Node* first) const {
    std::vector<const Node*> found;
    for (const Node& node : graph_.nodes())
      if (node.op == Op::kMatmul && live_.contains(&node) &&
          resolve(node.in[1]) == resolve(first->in[1]))
        found.push_back(&node);
    return found;
  }

  // ---- how long each value lives ----

  void find_lifetimes() {
    for (size_t i = 0; i < drafts_.size(); ++i)
      for (const Node* node : drafts_[i].nodes)
        for (const Node* input : node->in) {
          const Node* source = resolve(input);
          if (source == nullptr || is_leaf(source)) continue;
          // A matmul on quantised activations reads its input in the row stage before it.
          const size_t use = quantizes(node) ? i - 1 : i;
          Value& value = values_[source];
          value.last_use = std::max(value.last_use, use);
          if (use != value.defined) outlives_.insert(source);
        }
  }

  bool quantizes(const Node* node) const {
    if (node->op != Op::kMatmul) return false;
    const Weight& weight = weights_[node->in[0]->weight];
    return weight.in_panels() && !takes_floats(weight.kind);
  }

  // ---- memory ----

  struct Hole {
    int64_t offset, bytes;
    size_t free_from;  // first stage that may write here
  };

  // The first stage at which nobody can still be in stage `i`: with a single row, threads meet only
  // after matmuls and attention.
  size_t after_barrier(size_t i) const {
    while (i < drafts_.size() && drafts_[i].kind == Draft::Kind::kRows) ++i;
    return i + 1;
  }

  int64_t allocate(int64_t bytes, size_t defined, size_t last_use) {
    bytes = align_up(bytes, 64);
    for (Hole& hole : holes_) {
      if (hole.free_from > defined || hole.bytes < bytes || hole.bytes > 2 * bytes) continue;
      hole.free_from = after_barrier(last_use);
      return hole.offset;
    }
    holes_.push_back({.offset = scratch_, .bytes = bytes, .free_from = after_barrier(last_use)});
    scratch_ += bytes;
    return holes_.back().offset;
  }

  void place_values() {
    std::vector<int64_t> local(drafts_.size(), 0);
    const Node* result = resolve(graph_.result());
    for (size_t i = 0; i < drafts_.size(); ++i) {
      for (const Node* node : drafts_[i].nodes) {
        Value& value = values_[node];
        const int64_t stride = align_up(width(node), 16);
        value.ref.stride = stride;
        if (node == result) {
          value.ref = {.place = Place::kLogits, .stride = width(node)};
        } else if (drafts_[i].kind == Draft::Kind::kRows && !outlives_.contains(node)) {
          value.ref.place = Place::kLocal;
          value.ref.offset = local[i];  // relative to the local area for now
          local[i] += stride;
        } else {
          value.ref.place =
              drafts_[i].kind == Draft::Kind::kMatmul ? Place::kShared : Place::kRowwise;
          value.ref.offset = allocate(stride * rows() * 4, i, value.last_use) / 4;
        }
      }
    }
    const int64_t local_stride = align_up(*std::max_element(local.begin(), local.end()), 16);
    const int64_t local_start = scratch_ / 4;
    scratch_ += align_up(local_stride * threads_ * 4, 64);
    for (auto& [node, value] : values_) {
      if (value.ref.place != Place::kLocal) continue;
      value.ref.offset += local_start;
      value.ref.stride = local_stride;
    }
  }

  // ---- operations ----

  const float* vector(const WeightSource* source) const {
    const Weight& weight = weights_[source];
    CRIA_CHECK(weight.form == WeightForm::kVector, "a vector is no table and no matmul's weight");
    return weight.floats();
  }

  Ref ref(const Node* node) {
    node = resolve(node);
    if (node->op == Op::kWeight) return {.place = Place::kWeight, .weight = vector(node->weight)};
    return values_.at(node).ref;
  }

  // One stage per draft, in the same order; some row stages stay empty.
  void emit() {
    for (const Draft& draft : drafts_) {
      if (draft.kind == Draft::Kind::kRows) {
        program_.stages.emplace_back(RowStage{.axis = draft.axis});
        if (program_.stages.size() > 1) emit_merge(program_.stages.size() - 2);
        for (const Node* node : draft.nodes) emit_row_op(node);
      } else if (draft.kind == Draft::Kind::kMatmul) {
        emit_matmul(draft);
      } else {
        emit_attention(draft.nodes[0]);
      }
    }
    program_.scratch_bytes = scratch_;
    program_.capacity = graph_.capacity();
    program_.vocabulary = width(resolve(graph_.result()));
    CRIA_CHECK(graph_.hidden() == nullptr || program_.hidden_width > 0,
               "hidden states are the result of an operation on rows");
  }

  RowStage& rows_now() { return std::get<RowStage>(program_.stages.back()); }

  // Cosines and sines for the step's positions, computed once for all layers with this rotation.
  Ref rope_table(const Node* node) {
    const WeightSource* factors = node->in[2] != nullptr ? node->in[2]->weight : nullptr;
    for (const RopeTable& known : rope_tables_)
      if (known.spec == node->rope && known.factors == factors) return known.ref;
    std::span<const float> values;
    if (factors != nullptr) values = {vector(factors), static_cast<size_t>(node->rope.dims / 2)};
    program_.ropes.push_back({.frequencies = rope_frequencies(node->rope, values),
                              .magnitude = node->rope.attention_factor});
    Ref out = {.place = Place::kRowwise, .stride = align_up(node->rope.dims, 16)};
    out.offset = scratch_ / 4;  // lives through the whole step
    scratch_ += align_up(out.stride * rows() * 4, 64);
    rope_tables_.push_back({.spec = node->rope, .factors = factors, .ref = out});
    RowStage& first = std::get<RowStage>(program_.stages.front());  // cut_stages began with rows
    first.ops.insert(
        first.ops.begin(),
        RowOp{.kind = RowKind::kRopeTable, .out = out, .frequencies = program_.ropes.size() - 1});
    return out;
  }

  void emit_row_op(const Node* node) {
    RowOp op = {
        .kind = RowKind::kAdd, .out = ref(node), .width = width(node), .scalar = node->scalar};
    if (op.out.place == Place::kLogits) rows_now().first_thread_only = true;
    const Node* a = node->in[0];
    switch (node->op) {
      case Op::kRows:
        if (a->op == Op::kWeight) {
          op.kind = RowKind::kEmbed;
          op.table = &weights_[a->weight];
          if (node->in[1] == graph_.positions().node()) op.key = RowKey::kPosition;
          if (node->in[1] == graph_.segments().node()) op.key = RowKey::kSegment;
        } else {
          op.kind = RowKind::kGather;
          op.a = ref(a);
        }
        break;
      case Op::kAdd:
      case Op::kMul:
        op.kind = node->op == Op::kAdd ? RowKind::kAdd : RowKind::kMul;
        op.a = ref(a);
        op.b = ref(node->in[1]);
        if (node->in[1]->op == Op::kWeight) op.segments = op.width / node->in[1]->shape[0];
        break;
      case Op::kRmsNorm:
        op.kind = RowKind::kRmsNorm;
        op.a = ref(a);
        op.segments = op.width / node->shape[0];
        if (node->in[1] != nullptr) op.b = ref(node->in[1]);
        break;
      case Op::kLayerNorm:
        op.kind = RowKind::kLayerNorm;
        op.a = ref(a);
        op.segments = op.width / node->shape[0];
        break;
      case Op::kRope:
        op.kind = RowKind::kRope;
        op.a = ref(a);
        op.b = rope_table(node);
        op.rope = {.table = nullptr,
                   .dims = node->rope.dims,
                   .head_dim = node->shape[0],
                   .heads = node->shape[1],
                   .halves = node->rope.layout == RopeLayout::kHalves};
        break;
      default:
        op.kind = node->op == Op::kScale     ? RowKind::kScale
                  : node->op == Op::kSilu    ? RowKind::kSilu
                  : node->op == Op::kGelu    ? RowKind::kGelu
                  : node->op == Op::kGeluErf ? RowKind::kGeluErf
                                             : RowKind::kSoftcap;
        op.a = ref(a);
    }
    rows_now().ops.push_back(op);
    if (graph_.hidden() != nullptr && node == resolve(graph_.hidden())) emit_hidden(op);
  }

  void emit_hidden(const RowOp& op) {
    rows_now().ops.push_back({.kind = RowKind::kHidden, .a = op.out, .width = op.width});
    program_.hidden_width = op.width;
    program_.hidden_stage = program_.stages.size() - 1;
  }

  void emit_matmul(const Draft& draft) {
    const Node* x = resolve(draft.nodes[0]->in[1]);
    MatmulStage stage = {.axis = draft.axis, .x = ref(x)};
    bool integers = false;
    for (const Node* node : draft.nodes) {
      const Weight& weight = weights_[node->in[0]->weight];
      if (weight.form == WeightForm::kNative)
        program_.tile_floats = std::max(program_.tile_floats, 2 * kPanelRows * weight.k);
      else
        integers |= !takes_floats(weight.kind);
      if (weight.form == WeightForm::kPlanes)  // a panel with its planes joined
        program_.tile_floats =
            std::max(program_.tile_floats, align_up(panel_bytes(weight.kind, weight.k) / 4, 16));
      stage.parts.push_back({.weight = &weight, .out = ref(node)});
    }
    if (integers) {
      const int64_t k = width(x), one = align_up(quantized_bytes(1, k), 64);
      const int64_t groups = (graph_.capacity() + kGroup - 1) / kGroup;
      const size_t now = program_.stages.size();
      stage.quantized = {
          .offset =
              allocate(std::max(groups * quantized_bytes(kGroup, k), one * threads_), now - 1, now),
          .k = k,
          .thread_stride = one};
      rows_now().ops.push_back({.kind = RowKind::kQuantize,
                                .a = stage.x,
                                .width = k,
                                .quantized = stage.quantized,
                                .axis = draft.axis});
    }
    program_.stages.emplace_back(std::move(stage));
  }

  void emit_attention(const Node* node) {
    const Node* q = resolve(node->in[0]);
    AttentionStage stage = {.spec = node->attention,
                            .q = ref(q),
                            .k = ref(node->in[1]),
                            .v = ref(node->in[2]),
                            .out = ref(node)};
    stage.heads = node->in[0]->shape[1];
    stage.key_dim = node->in[0]->shape[0];
    stage.kv_heads = node->in[1]->shape[1];
    stage.value_dim = node->in[2]->shape[0];
    rows_now().ops.push_back({.kind = RowKind::kStoreKv,
                              .a = stage.k,
                              .b = stage.v,
                              .attention = program_.stages.size()});
    program_.stages.emplace_back(stage);
  }

  void emit_merge(size_t before) {
    const auto* attention = std::get_if<AttentionStage>(&program_.stages[before]);
    if (attention == nullptr) return;
    rows_now().ops.push_back({.kind = RowKind::kMerge, .out = attention->out, .attention = before});
  }

  struct RopeTable {
    RopeSpec spec;
    const WeightSource* factors;
    Ref ref;
  };

  const Graph& graph_;
  const WeightSet& weights_;
  const int threads_;
  std::set<const Node*> live_, outlives_;
  std::vector<Draft> drafts_;
  std::map<const Node*, Value> values_;
  std::vector<Hole> holes_;
  std::vector<RopeTable> rope_tables_;
  int64_t scratch_ = 0;
  Program program_;
};

}  // namespace

Program compile_program(const Graph& graph, const WeightSet& weights, int threads) {
  return Compiler(graph, weights, threads).run();
}

}  // namespace cria::ml::cpu
