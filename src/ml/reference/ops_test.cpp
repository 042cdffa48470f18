// The oracle against numbers worked out by hand.

#include "ml/reference/ops.h"
#include "ml/graph_for_tests.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>

namespace cria::ml::reference {
namespace {

using doctest::Approx;
using Floats = std::vector<float>;

Floats rotated(Floats head, const RopeSpec& spec, double distance, Input factors = {}) {
  rotate(head, static_cast<int64_t>(head.size()), {spec, factors, distance, 1.0});
  return head;
}

// One head of one dimension, so that a key is a score and a value is itself.
struct OneHead {
  TestWeights weights;
  Graph graph{8};
  KvLayout kv{.layers = {{.kv_heads = 1, .key_dim = 1, .value_dim = 1}}, .dtype = DType::kF32};

  // Token i has query 1, keys[i] and values[i].
  OneHead(const Floats& keys, const Floats& values, const AttentionSpec& spec) {
    const auto vocabulary = static_cast<int64_t>(keys.size());
    const auto heads = [&](const Floats& of_token) {
      const Tensor table = weights.floats({1, vocabulary, 1, 1}, of_token);
      return reshape(rows(table, graph.tokens()), {1, 1, graph.capacity()});
    };
    const Tensor q = heads(Floats(keys.size(), 1.0f)), k = heads(keys), v = heads(values);
    const Tensor y = reshape(attention(q, k, v, spec), {1, graph.capacity()});
    graph.set_result(rows(y, graph.outputs()));
  }
  Floats run(const std::vector<int32_t>& tokens) {
    return TestRun(graph, kv, "reference").run({{tokens}});
  }
};

}  // namespace

TEST_CASE("matmul multiplies rows of the weight with rows of x") {
  const Floats weight = {1, 2, 3, 4, 5, 6};  // {3, 2}
  const Floats x = {1, 0, -1, 2, 1, 0};      // {3, 2}
  Floats y(4);
  matmul(weight, x, 3, y);
  CHECK(y == Floats{-2, -2, 4, 13});
}

TEST_CASE("dot sums all elements for every length around its lanes") {
  for (const int64_t n : {0, 1, 15, 16, 17, 33}) {
    Floats a, b;
    for (int64_t i = 1; i <= n; ++i) a.push_back(static_cast<float>(i)), b.push_back(2.0f);
    CHECK(dot(a.data(), b.data(), n) == static_cast<float>(n * (n + 1)));
  }
}

TEST_CASE("a single row is added to and multiplied with every row") {
  const Floats a = {1, 2, 3, 4}, row = {10, 20};
  Floats y(4);
  add(a, row, y);
  CHECK(y == Floats{11, 22, 13, 24});
  multiply(a, row, y);
  CHECK(y == Floats{10, 40, 30, 80});
}

TEST_CASE("activations have their known values") {
  const Floats x = {-20.0f, -1.0f, 0.0f, 1.0f, 20.0f};
  Floats y(5);
  silu(x, y);
  CHECK(y[0] == Approx(0).epsilon(1e-6));
  CHECK(y[1] == Approx(-0.26894142));
  CHECK(y[3] == Approx(0.73105858));
  CHECK(y[4] == Approx(20.0));
  gelu(x, y);
  CHECK(y[1] == Approx(-0.15880801));
  CHECK(y[2] == 0.0f);
  CHECK(y[3] == Approx(0.84119199));
  gelu_erf(x, y);
  CHECK(y[0] == Approx(0));
  CHECK(y[1] == Approx(-0.15865525));  // minus the normal distribution's weight below -1
  CHECK(y[2] == 0.0f);
  CHECK(y[3] == Approx(0.84134475));
  CHECK(y[4] == Approx(20.0));
  softcap(x, 2.0f, y);
  CHECK(y[1] == Approx(-0.92423431));
  CHECK(y[4] == Approx(2.0));
}

TEST_CASE("rms_norm divides by the root of the mean square, of every head by itself") {
  const Floats x = {3, 4, 6, 8}, weight = {1, 2};
  Floats y(4);
  rms_norm(x, weight, 2, 0.0f, y);  // roots: sqrt(12.5) and twice that
  CHECK(y[0] == Approx(3 / std::sqrt(12.5)));
  CHECK(y[1] == Approx(8 / std::sqrt(12.5)));
  CHECK(y[2] == Approx(3 / std::sqrt(12.5)));
  rms_norm(x, {}, 4, 3.75f, y);  // 125 / 4 + 3.75 = 35
  CHECK(y[3] == Approx(8 / std::sqrt(35.0)));
}

TEST_CASE("layer_norm takes the mean off every row and divides by its deviation") {
  const Floats x = {1, 3, 10, 30};
  Floats y(4);
  layer_norm(x, 2, 3.0f, y);  // variances 1 and 100
  CHECK(y[0] == Approx(-0.5));
  CHECK(y[1] == Approx(0.5));
  CHECK(y[2] == Approx(-10 / std::sqrt(103.0)));
  CHECK(y[3] == Approx(10 / std::sqrt(103.0)));
}

TEST_CASE("rope turns neighbours or halves, and leaves the rest of the head") {
  const Floats neighbours = rotated({1, 0, 0, 1, 5}, {.dims = 4, .base = 100.0f}, 2);
  CHECK(neighbours[0] == Approx(std::cos(2.0)));
  CHECK(neighbours[1] == Approx(std::sin(2.0)));
  CHECK(neighbours[2] == Approx(-std::sin(0.2)));  // second pair: 100^(-1/2) = 0.1 a position
  CHECK(neighbours[4] == 5.0f);
  const Floats halves =
      rotated({1, 0, 0, 1, 5}, {.dims = 4, .base = 100.0f, .layout = RopeLayout::kHalves}, 2);
  CHECK(halves[0] == Approx(std::cos(2.0)));
  CHECK(halves[2] == Approx(std::sin(2.0)));
  CHECK(halves[1] == Approx(-std::sin(0.2)));
}

TEST_CASE("rope divides frequencies by factors and multiplies positions by the linear scale") {
  const Floats factors = {4.0f};
  CHECK(rotated({1, 0}, {.dims = 2}, 2, factors)[1] == Approx(std::sin(0.5)));
  CHECK(rotated({1, 0}, {.dims = 2, .linear_scale = 0.25f}, 2)[1] == Approx(std::sin(0.5)));
}

TEST_CASE("yarn keeps fast pairs, slows slow ones and blends between") {
  // low = floor(8 ln(64 / 8 pi) / (2 ln 100)) = 0, high = ceil(8 ln(64 / 2 pi) / (2 ln 100)) = 3.
  const RopeSpec spec{.dims = 8,
                      .base = 100.0f,
                      .linear_scale = 0.25f,
                      .extension = 1.0f,
                      .beta_fast = 4.0f,
                      .beta_slow = 1.0f,
                      .original_context = 64};
  const Floats y = rotated({1, 0, 1, 0, 1, 0, 1, 0}, spec, 1);
  CHECK(y[1] == Approx(std::sin(1.0)));
  const double second = std::pow(100.0, -0.25);
  CHECK(y[3] == Approx(std::sin(second * (0.25 / 3 + 2.0 / 3))));
  CHECK(y[7] == Approx(std::sin(std::pow(100.0, -0.75) * 0.25)));
}

TEST_CASE("attention weighs values by the softmax of the scaled scores, causally") {
  const float three = std::log(3.0f);
  OneHead head({0, 2 * three}, {8, 4}, {.scale = 0.5f});
  const Floats y = head.run({0, 1, 0});
  CHECK(y[0] == Approx(8));                  // sees itself only
  CHECK(y[1] == Approx((8 + 3 * 4) / 4.0));  // weights 1 and 3
  CHECK(y[2] == Approx((8 + 12 + 8) / 5.0));
}

TEST_CASE("attention with a window sees that many positions, itself included") {
  OneHead head({0, 0, 0}, {1, 10, 100}, {.window = 2});
  const Floats y = head.run({0, 1, 2});
  CHECK(y[1] == Approx(5.5));
  CHECK(y[2] == Approx(55));
}

TEST_CASE("attention caps scores before the softmax") {
  OneHead head({0, 1000}, {0, 1}, {.softcap = 2.0f});
  CHECK(head.run({0, 1})[1] == Approx(1 / (1 + std::exp(-2.0))));
}

TEST_CASE("query heads share key and value heads in consecutive groups") {
  Graph graph(1);
  TestWeights weights;
  const auto heads = [&](const Floats& values) {
    const auto count = static_cast<int64_t>(values.size());
    const Tensor table = weights.floats({count, 1, 1, 1}, values);
    return reshape(rows(table, graph.tokens()), {1, count, 1});
  };
  const Tensor y = attention(heads({1, 1, 1, 1}), heads({1, 1}), heads({7, 9}), {});
  graph.set_result(rows(reshape(y, {4, 1}), graph.outputs()));
  const KvLayout kv{.layers = {{.kv_heads = 2, .key_dim = 1, .value_dim = 1}},
                    .dtype = DType::kF32};
  CHECK(TestRun(graph, kv, "reference").run({{{0}}}) == Floats{7, 7, 9, 9});
}

TEST_CASE("a weight whose bytes do not fit its shape is refused by name") {
  TestWeights weights;
  Graph graph(1);
  Tensor table = weights.make(DType::kF32, {4, 2, 1, 1});
  Node wrong = *table.node();
  wrong.shape = {4, 3, 1, 1};
  graph.set_result(rows(rows(Tensor(nullptr, &wrong), graph.tokens()), graph.outputs()));
  CHECK_THROWS_WITH_AS(make_backend("reference")->compile(graph, {}),
                       "weight 0: 32 bytes do not hold 12 elements of F32", Error);
}

}  // namespace cria::ml::reference
