#include "ml/graph.h"

#include "base/error.h"

#include <cmath>

namespace cria::ml {
namespace {

std::string text(const Shape& s) {
  return fmt::format("{{{}, {}, {}, {}}}", s[0], s[1], s[2], s[3]);
}

int64_t elements(const Shape& s) {
  return s[0] * s[1] * s[2] * s[3];
}

// Names a tensor in messages: a weight by its name, an activation by its shape.
std::string describe(Tensor t) {
  const Node* node = t.node();
  return node->weight != nullptr ? fmt::format("{} {}", node->weight->name, text(node->shape))
                                 : text(node->shape);
}

void require(bool ok, std::string_view op, Tensor a, Tensor b) {
  if (!ok)
    fail(ErrorKind::kInvalidInput, "{}: shapes do not fit: {} and {}", op, describe(a),
         describe(b));
}

Tensor add(Graph* graph, Node node) {
  return {graph, graph->add(node)};
}

Tensor elementwise(Op op, std::string_view name, Tensor a, Tensor b) {
  CRIA_CHECK(a.graph() != nullptr, "the first operand must be an activation");
  const Shape row = {a.dim(0), 1, 1, 1};
  const bool per_row = b.graph() == nullptr && b.shape() == row;
  require(per_row || a.shape() == b.shape(), name, a, b);
  return add(a.graph(),
             {.op = op, .axis = a.node()->axis, .shape = a.shape(), .in = {a.node(), b.node()}});
}

Tensor unary(Op op, Tensor x, float scalar = 0) {
  return add(
      x.graph(),
      {.op = op, .axis = x.node()->axis, .shape = x.shape(), .in = {x.node()}, .scalar = scalar});
}

}  // namespace

Graph::Graph(int64_t capacity) : capacity_(capacity) {
  CRIA_CHECK(capacity > 0, "a graph needs room for one token");
  const Shape ids = {capacity, 1, 1, 1};
  tokens_ = {this, add({.op = Op::kInput, .axis = Axis::kTokens, .shape = ids})};
  positions_ = {this, add({.op = Op::kInput, .axis = Axis::kTokens, .shape = ids})};
  segments_ = {this, add({.op = Op::kInput, .axis = Axis::kTokens, .shape = ids})};
  outputs_ = {this, add({.op = Op::kInput, .axis = Axis::kOutputs, .shape = ids})};
}

const Node* Graph::add(Node node) {
  node.id = static_cast<int64_t>(nodes_.size());
  nodes_.push_back(node);
  return &nodes_.back();
}

Tensor matmul(Tensor weight, Tensor x) {
  require(weight.dim(0) == x.dim(0) && weight.dim(2) == 1 && weight.dim(3) == 1, "matmul", weight,
          x);
  return add(x.graph(), {.op = Op::kMatmul,
                         .axis = x.node()->axis,
                         .shape = {weight.dim(1), x.dim(1), x.dim(2), x.dim(3)},
                         .in = {weight.node(), x.node()}});
}

Tensor rows(Tensor table, Tensor ids) {
  require(table.dim(2) == 1 && table.dim(3) == 1, "rows", table, ids);
  return add(ids.graph(), {.op = Op::kRows,
                           .axis = ids.node()->axis,
                           .shape = {table.dim(0), ids.dim(0), 1, 1},
                           .in = {table.node(), ids.node()}});
}

Tensor operator+(Tensor a, Tensor b) {
  return elementwise(Op::kAdd, "add", a, b);
}
Tensor operator*(Tensor a, Tensor b) {
  return elementwise(Op::kMul, "multiply", a, b);
}
Tensor scale(Tensor x, float factor) {
  return unary(Op::kScale, x, factor);
}
Tensor silu(Tensor x) {
  return unary(Op::kSilu, x);
}
Tensor gelu(Tensor x) {
  return unary(Op::kGelu, x);
}
Tensor gelu_erf(Tensor x) {
  return unary(Op::kGeluErf, x);
}
Tensor layer_norm(Tensor x, float eps) {
  return unary(Op::kLayerNorm, x, eps);
}
Tensor softcap(Tensor x, float cap) {
  return unary(Op::kSoftcap, x, cap);
}

Tensor rms_norm(Tensor x, Tensor weight, float eps) {
  if (weight) require(weight.shape() == Shape{x.dim(0), 1, 1, 1}, "rms_norm", x, weight);
  return add(x.graph(), {.op = Op::kRmsNorm,
                         .axis = x.node()->axis,
                         .shape = x.shape(),
                         .in = {x.node(), weight.node()},
                         .scalar = eps});
}

Tensor rope(Tensor x, Tensor positions, Tensor factors, const RopeSpec& spec) {
  require(x.dim(2) == positions.dim(0), "rope", x, positions);
  if (spec.dims <= 0 || spec.dims % 2 != 0 || spec.dims > x.dim(0))
    fail(ErrorKind::kInvalidInput, "rope: {} dimensions of heads of {}", spec.dims, x.dim(0));
  if (!(std::isfinite(spec.base) && spec.base > 0))
    fail(ErrorKind::kInvalidInput, "rope: base frequency {} is not a positive number", spec.base);
  if (factors) require(factors.dim(0) == spec.dims / 2, "rope factors", x, factors);
  return add(x.graph(), {.op = Op::kRope,
                         .axis = x.node()->axis,
                         .shape = x.shape(),
                         .in = {x.node(), positions.node(), factors.node()},
                         .rope = spec});
}

Tensor attention(Tensor q, Tensor k, Tensor v, const AttentionSpec& spec) {
  require(q.dim(0) == k.dim(0) && q.dim(2) == k.dim(2) && q.dim(1) % k.dim(1) == 0, "attention", q,
          k);
  require(k.dim(1) == v.dim(1) && k.dim(2) == v.dim(2), "attention", k, v);
  CRIA_CHECK(spec.causal || spec.window == 0, "windows look back only");
  return add(q.graph(), {.op = Op::kAttention,
                         .axis = q.node()->axis,
                         .shape = {v.dim(0), q.dim(1), q.dim(2), 1},
                         .in = {q.node(), k.node(), v.node()},
                         .attention = spec});
}

Tensor reshape(Tensor x, std::initializer_list<int64_t> shape) {
  CRIA_CHECK(shape.size() <= 4, "at most four dimensions");
  Shape wanted = {1, 1, 1, 1};
  size_t i = 0;
  for (const int64_t n : shape) wanted[i++] = n;
  if (elements(wanted) != elements(x.shape()))
    fail(ErrorKind::kInvalidInput, "reshape: {} has not as many elements as {}", text(wanted),
         describe(x));
  return add(x.graph(),
             {.op = Op::kReshape, .axis = x.node()->axis, .shape = wanted, .in = {x.node()}});
}

}  // namespace cria::ml
