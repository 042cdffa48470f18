// One suite for every backend: op x shape x type against the reference, and the promises of
// backend.h (rows independent of each other, chunks equal to one pass, pages, shift) by each
// backend alone.

#include "ml/graph_for_tests.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <functional>

namespace cria::ml {
namespace {

constexpr int32_t kVocabulary = 97;
constexpr int64_t kCapacity = 512;

// Squared relative errors. Floats differ in the order of sums only; exp and tanh of a vector unit
// are good to about 1e-6. Against quantised weights a backend may round activations to 8 bits per
// 32 values: a step of 1/127 of the largest gives about 2.5e-5 on average, and single results lie
// three or four deviations out. Against BF16 it may round
// them to BF16, so these are BF16 here.
constexpr double kExact = 0, kFloat = 1e-11, kHalfCache = 1e-6, kEightBit = 4e-4;
// Keys, values and queries in 8 bits: an error of 0.4 % in each, and weights that move with scores.
constexpr double kEightBitCache = 4e-4;

constexpr std::array kPlain = {DType::kF32, DType::kF16, DType::kBF16};
constexpr std::array kBlocks32 = {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                                  DType::kQ8_0};
constexpr std::array kBlocks256 = {DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

bool is_plain(DType dtype) {
  return quant::info(dtype).block_elements == 1;
}

// A graph of one layer from tokens to a result for every output row.
struct Example {
  TestWeights weights;
  Graph graph{kCapacity};
  KvLayout kv{.dtype = DType::kF32};

  // Rows of a table stand for the activations: {width, n}.
  Tensor activations(int64_t width, DType dtype = DType::kF32) {
    return rows(weights.make(dtype, {width, kVocabulary, 1, 1}), graph.tokens());
  }
  void finish(Tensor y, int64_t width) {
    graph.set_result(rows(reshape(y, {width, graph.capacity()}), graph.outputs()));
  }
};

// Runs the example with several numbers of rows on every other backend; `limit` as above.
void compare(const Example& example, double limit, const CompileOptions& options = {}) {
  TestRun reference(example.graph, example.kv, "reference");
  const std::vector<int32_t> pages = {5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
  const auto part = [&](size_t n) {
    return TestRun::Part{some_tokens(n, kVocabulary, n), 0, pages};
  };
  const double magnitude = mean_square(reference.run({part(kCapacity)}));
  for (const std::string_view name : backend_names()) {
    if (name == "reference") continue;
    CAPTURE(std::string(name));
    TestRun backend(example.graph, example.kv, name, options);
    for (const size_t n :
         {size_t{1}, size_t{2}, size_t{7}, size_t{8}, size_t{9}, size_t{33}, size_t{512}}) {
      CAPTURE(n);
      const std::vector<float> wanted = reference.run({part(n)});
      CHECK(relative_error(backend.run({part(n)}), wanted,
                           std::max(magnitude, mean_square(wanted))) <= limit);
    }
  }
}

using Build = std::function<Tensor(Example&, Tensor)>;

// An op on activations {width, n} whose result has `result_width` values a row.
void compare_op(int64_t width, int64_t result_width, const Build& build, double limit = kFloat) {
  CAPTURE(width);
  Example example;
  example.finish(build(example, example.activations(width)), result_width);
  compare(example, limit);
}

void compare_matmul(DType dtype, int64_t k, int64_t r) {
  CAPTURE(std::string(quant::info(dtype).name));
  CAPTURE(k);
  CAPTURE(r);
  Example example;
  const Tensor x = example.activations(k, dtype == DType::kBF16 ? dtype : DType::kF32);
  example.finish(matmul(example.weights.make(dtype, {k, r, 1, 1}), x), r);
  compare(example, is_plain(dtype) ? kFloat : kEightBit);
  compare(example, kFloat, {.float_weights = true});
}

constexpr int64_t kHeadDim = 32, kHeads = 4;

struct AttentionShape {
  int64_t heads, kv_heads, head_dim;
  int64_t window = 0;
  float softcap = 0;
  RopeSpec rope = {};
  bool causal = true;
};

// q, k and v are rows of three tables, so a position's key depends on its token and place alone.
void build_attention(Example& e, const AttentionShape& shape) {
  const auto heads = [&](int64_t count) {
    return reshape(e.activations(count * shape.head_dim), {shape.head_dim, count, kCapacity});
  };
  Tensor q = heads(shape.heads), k = heads(shape.kv_heads), v = heads(shape.kv_heads);
  if (shape.rope.dims > 0) {
    q = rope(q, e.graph.positions(), {}, shape.rope);
    k = rope(k, e.graph.positions(), {}, shape.rope);
  }
  e.kv.layers.push_back({.kv_heads = shape.kv_heads,
                         .key_dim = shape.head_dim,
                         .value_dim = shape.head_dim,
                         .window = shape.window,
                         .rope = shape.rope});
  const AttentionSpec spec{.layer = static_cast<int64_t>(e.kv.layers.size()) - 1,
                           .scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim)),
                           .window = shape.window,
                           .softcap = shape.softcap,
                           .causal = shape.causal};
  e.finish(attention(q, k, v, spec), shape.heads * shape.head_dim);
}

// A whole layer with weights of one type, so that every kernel meets the others.
void build_layer(Example& e, DType dtype) {
  constexpr int64_t kWidth = 256, kHidden = 512;
  const auto linear = [&](Tensor x, int64_t out) {
    return scale(matmul(e.weights.make(dtype, {x.dim(0), out, 1, 1}), x), 0.05f);
  };
  const RopeSpec spec{.dims = kHeadDim, .layout = RopeLayout::kHalves};
  Tensor x = rows(e.weights.make(dtype, {kWidth, kVocabulary, 1, 1}), e.graph.tokens());
  Tensor h = rms_norm(x, e.weights.make(DType::kF32, {kWidth, 1, 1, 1}), 1e-5f);
  const auto heads = [&](int64_t count) {
    return reshape(linear(h, count * kHeadDim), {kHeadDim, count, kCapacity});
  };
  Tensor q = rope(heads(kHeads), e.graph.positions(), {}, spec);
  Tensor k = rope(heads(2), e.graph.positions(), {}, spec);
  e.kv.layers.push_back({.kv_heads = 2, .key_dim = kHeadDim, .value_dim = kHeadDim, .rope = spec});
  Tensor mixed = attention(q, k, heads(2), {.scale = 0.3f});
  mixed = reshape(mixed, {kHeads * kHeadDim, kCapacity});
  if (kHeads * kHeadDim % quant::info(dtype).block_elements == 0)
    x = x + linear(mixed, kWidth);
  else
    x = x + matmul(e.weights.make(DType::kF16, {kHeads * kHeadDim, kWidth, 1, 1}), mixed);
  h = rms_norm(x, {}, 1e-5f);
  e.finish(x + linear(silu(linear(h, kHidden)) * linear(h, kHidden), kWidth), kWidth);
}

std::vector<DType> all_weight_types() {
  std::vector<DType> types(kPlain.begin(), kPlain.end());
  types.insert(types.end(), kBlocks32.begin(), kBlocks32.end());
  types.insert(types.end(), kBlocks256.begin(), kBlocks256.end());
  return types;
}

// Every backend, every weight type, both weight paths, every type of cache.
void for_each_layer(const std::function<void(const Example&, TestRun&)>& body) {
  for (const std::string_view name : backend_names())
    for (const DType dtype : all_weight_types())
      for (const DType cache : {DType::kF32, DType::kF16, DType::kQ8_0}) {
        const bool floats = cache == DType::kF32;
        CAPTURE(std::string(name));
        CAPTURE(std::string(quant::info(dtype).name));
        CAPTURE(std::string(quant::info(cache).name));
        Example example;
        build_layer(example, dtype);
        example.kv.dtype = cache;
        TestRun run(example.graph, example.kv, name, {.threads = 2, .float_weights = floats});
        body(example, run);
      }
}

std::vector<float> tail(const std::vector<float>& values, size_t count) {
  return {values.end() - static_cast<int64_t>(count), values.end()};
}

}  // namespace

TEST_CASE("every backend multiplies weights of every type as the reference does") {
  for (const DType dtype : kPlain)
    for (const int64_t k : {48, 64, 100})
      for (const int64_t r : {1, 7, 33}) compare_matmul(dtype, k, r);
  for (const DType dtype : kBlocks32)
    for (const int64_t k : {32, 64, 96, 288})
      for (const int64_t r : {1, 16, 33}) compare_matmul(dtype, k, r);
  for (const DType dtype : kBlocks256)
    for (const int64_t k : {256, 768})
      for (const int64_t r : {1, 16, 33}) compare_matmul(dtype, k, r);
}

TEST_CASE("every backend reads rows of tables of every type exactly") {
  for (const DType dtype : all_weight_types()) {
    CAPTURE(std::string(quant::info(dtype).name));
    Example example;
    const int64_t width = is_plain(dtype) ? 100 : 256;
    example.finish(
        rows(example.weights.make(dtype, {width, kVocabulary, 1, 1}), example.graph.tokens()),
        width);
    compare(example, kExact);
  }
}

TEST_CASE("every backend computes the elementwise ops as the reference does") {
  for (const int64_t width : {1, 48, 100, 256}) {
    compare_op(width, width, [](Example&, Tensor x) { return silu(scale(x, 6.0f)); });
    compare_op(width, width, [](Example&, Tensor x) { return gelu(scale(x, 6.0f)); });
    compare_op(width, width, [](Example&, Tensor x) { return gelu_erf(scale(x, 6.0f)); });
    compare_op(width, width, [](Example&, Tensor x) { return softcap(scale(x, 6.0f), 2.5f); });
    compare_op(width, width, [](Example&, Tensor x) { return scale(x, -0.37f); });
    compare_op(width, width, [&](Example& e, Tensor x) { return x + e.activations(width); });
    compare_op(width, width, [&](Example& e, Tensor x) { return x * e.activations(width); });
    compare_op(width, width, [](Example&, Tensor x) { return x * silu(x) + x; });
    compare_op(width, width, [&](Example& e, Tensor x) {
      return x + e.weights.make(DType::kF32, {width, 1, 1, 1});
    });
    compare_op(width, width, [&](Example& e, Tensor x) {
      return x * e.weights.make(DType::kF32, {width, 1, 1, 1});
    });
  }
}

TEST_CASE("every backend normalises rows and heads as the reference does") {
  for (const int64_t width : {1, 48, 100, 256}) {
    compare_op(width, width, [](Example&, Tensor x) { return rms_norm(x, {}, 1e-5f); });
    if (width > 1)  // one value is its own mean: nothing but zeros
      compare_op(width, width, [](Example&, Tensor x) { return layer_norm(x, 1e-5f); });
    compare_op(width, width, [&](Example& e, Tensor x) {
      return rms_norm(scale(x, 1e-3f), e.weights.make(DType::kF32, {width, 1, 1, 1}), 1e-6f);
    });
    compare_op(width * 3, width * 3, [&](Example& e, Tensor x) {
      return rms_norm(reshape(x, {width, 3, kCapacity}),
                      e.weights.make(DType::kF32, {width, 1, 1, 1}), 1e-6f);
    });
  }
}

TEST_CASE("every backend reads rows of a table by position, whatever the token") {
  Example example;
  constexpr int64_t kWidth = 48;
  example.finish(example.activations(kWidth) +
                     rows(example.weights.make(DType::kF16, {kWidth, kCapacity, 1, 1}),
                          example.graph.positions()),
                 kWidth);
  compare(example, kFloat);
}

TEST_CASE(
    "hidden states are what a graph that ends there gives, and leave the logits as they are") {
  constexpr int64_t kWidth = 96;
  const auto hidden_of = [](Example& e) {
    return rms_norm(e.activations(kWidth), e.weights.make(DType::kF32, {kWidth, 1, 1, 1}), 1e-5f);
  };
  for (const std::string_view name : backend_names())
    for (const DType dtype : {DType::kF32, DType::kQ8_0}) {
      CAPTURE(std::string(name));
      Example ends, goes_on;
      ends.finish(hidden_of(ends), kWidth);
      const Tensor hidden = hidden_of(goes_on);
      goes_on.graph.set_hidden(hidden);
      goes_on.finish(matmul(goes_on.weights.make(dtype, {kWidth, 33, 1, 1}), hidden), 33);
      TestRun wanted(ends.graph, ends.kv, name, {.threads = 3});
      TestRun run(goes_on.graph, goes_on.kv, name, {.threads = 3});
      for (const size_t rows : std::initializer_list<size_t>{1, 2, 40}) {
        const std::vector<TestRun::Part> parts = {{some_tokens(rows, kVocabulary)}};
        const std::vector<float> logits = run.run(parts);
        CHECK(run.run(parts, true) == wanted.run(parts));
        CHECK(run.run(parts) == logits);
      }
    }
}

TEST_CASE("without a causal mask rows see what follows in their own sequence and no other's") {
  for (const std::string_view name : backend_names()) {
    CAPTURE(std::string(name));
    Example example;
    build_attention(example, {4, 2, 32, 0, 0, {}, false});
    TestRun run(example.graph, example.kv, name, {.threads = 2});
    const std::vector<TestRun::Part> parts = {{some_tokens(70, kVocabulary, 1), 0, {9, 8, 7}},
                                              {some_tokens(1, kVocabulary, 2), 0, {4}},
                                              {some_tokens(33, kVocabulary, 3), 0, {30, 2}}};
    const std::vector<float> together = run.run(parts);
    std::vector<float> alone;
    for (const TestRun::Part& part : parts) {
      const std::vector<float> mine = run.run({part});
      alone.insert(alone.end(), mine.begin(), mine.end());
    }
    CHECK(alone == together);
    std::vector<int32_t> tokens = parts[0].tokens;
    tokens.back() = (tokens.back() + 1) % kVocabulary;
    const std::vector<float> other = run.run({{tokens, 0, {9, 8, 7}}});
    const size_t width = other.size() / tokens.size();
    CHECK_FALSE(std::equal(other.begin(), other.begin() + static_cast<int64_t>(width),
                           together.begin()));  // the first row noticed the last token
  }
}

TEST_CASE("every backend rotates positions as the reference does") {
  const std::array<RopeSpec, 5> specs = {
      RopeSpec{.dims = 64}, RopeSpec{.dims = 64, .layout = RopeLayout::kHalves},
      RopeSpec{.dims = 24, .base = 500000.0f, .layout = RopeLayout::kHalves},
      RopeSpec{.dims = 40, .linear_scale = 0.125f},
      RopeSpec{.dims = 64,
               .base = 1e6f,
               .linear_scale = 0.25f,
               .layout = RopeLayout::kHalves,
               .extension = 1.0f,
               .attention_factor = 1.1386f,
               .original_context = 64}};
  for (const RopeSpec& spec : specs)
    for (const bool with_factors : {false, true})
      compare_op(64 * 3, 64 * 3, [&](Example& e, Tensor x) {
        std::vector<float> factors;
        for (int64_t i = 0; i < spec.dims / 2; ++i)
          factors.push_back(1.0f + static_cast<float>(i) / 4);
        const Tensor divisors =
            with_factors ? e.weights.floats({spec.dims / 2, 1, 1, 1}, factors) : Tensor();
        return rope(reshape(x, {64, 3, kCapacity}), e.graph.positions(), divisors, spec);
      });
}

TEST_CASE("every backend attends as the reference does") {
  const std::array<AttentionShape, 12> shapes = {AttentionShape{4, 4, 64},
                                                 AttentionShape{9, 3, 64},
                                                 AttentionShape{14, 2, 64},
                                                 AttentionShape{4, 1, 256},
                                                 AttentionShape{4, 2, 24},
                                                 AttentionShape{8, 8, 80},
                                                 AttentionShape{4, 2, 16, 16},
                                                 AttentionShape{4, 2, 128, 33, 4.0f},
                                                 AttentionShape{6, 2, 64, 0, 0, {.dims = 64}},
                                                 AttentionShape{12, 12, 32, 0, 0, {}, false},
                                                 AttentionShape{4, 2, 24, 0, 0, {}, false},
                                                 AttentionShape{2, 1, 64, 0, 3.0f, {}, false}};
  for (const AttentionShape& shape : shapes) {
    CAPTURE(shape.heads);
    CAPTURE(shape.head_dim);
    Example example;
    build_attention(example, shape);
    compare(example, kFloat);
    example.kv.dtype = DType::kF16;
    compare(example, kHalfCache);
    example.kv.dtype = DType::kQ8_0;
    compare(example, kEightBitCache);
  }
}

TEST_CASE("a row's result does not depend on the rows beside it") {
  for_each_layer([](const Example&, TestRun& run) {
    const std::vector<TestRun::Part> parts = {{some_tokens(1, kVocabulary, 1), 0, {0}},
                                              {some_tokens(40, kVocabulary, 2), 0, {9, 8}},
                                              {some_tokens(5, kVocabulary, 3), 0, {4}},
                                              {some_tokens(17, kVocabulary, 4), 0, {30}}};
    const std::vector<float> together = run.run(parts);
    std::vector<float> alone;
    for (const TestRun::Part& part : parts) {
      const std::vector<float> mine = run.run({part});
      alone.insert(alone.end(), mine.begin(), mine.end());
    }
    CHECK(alone == together);
  });
}

TEST_CASE("a prompt in chunks gives exactly the results of one pass") {
  for_each_layer([](const Example&, TestRun& run) {
    const std::vector<int32_t> tokens = some_tokens(100, kVocabulary, 5);
    const std::vector<float> whole = run.run({{tokens}});
    for (const size_t chunk : {size_t{1}, size_t{9}, size_t{33}, size_t{64}}) {
      CAPTURE(chunk);
      std::vector<float> pieces;
      for (size_t at = 0; at < tokens.size(); at += chunk) {
        const size_t end = std::min(tokens.size(), at + chunk);
        const std::vector<float> part = run.run({{{tokens.begin() + static_cast<int64_t>(at),
                                                   tokens.begin() + static_cast<int64_t>(end)},
                                                  static_cast<int64_t>(at)}});
        pieces.insert(pieces.end(), part.begin(), part.end());
      }
      CHECK(pieces == whole);
    }
  });
}

TEST_CASE("a copied page serves as the original did") {
  for (const std::string_view name : backend_names())
    for (const DType cache : {DType::kF32, DType::kF16, DType::kQ8_0}) {
      CAPTURE(std::string(name));
      Example example;
      build_layer(example, DType::kQ8_0);
      example.kv.dtype = cache;
      TestRun run(example.graph, example.kv, name);
      const std::vector<int32_t> tokens = some_tokens(41, kVocabulary, 6);
      const std::vector<int32_t> next = {11};
      run.run({{tokens, 0, {2, 5}}});
      const std::vector<float> wanted = run.run({{next, 41, {2, 5}}});
      run.kv().copy_page(2, 20);
      run.kv().copy_page(5, 21);
      run.run({{some_tokens(41, kVocabulary, 7), 0, {2, 5}}});  // the originals are overwritten
      CHECK(run.run({{next, 41, {20, 21}}}) == wanted);
    }
}

TEST_CASE("shifted positions give what the shorter sequence would have given") {
  const RopeSpec rope{.dims = 32, .layout = RopeLayout::kHalves};
  const RopeSpec partial{.dims = 16, .linear_scale = 0.5f};
  const RopeSpec yarn{.dims = 32,
                      .linear_scale = 0.25f,
                      .extension = 1.0f,
                      .attention_factor = 1.14f,
                      .original_context = 64};
  for (const std::string_view name : backend_names())
    for (const RopeSpec& spec : {rope, partial, yarn})
      for (const DType dtype : {DType::kF32, DType::kF16, DType::kQ8_0}) {
        CAPTURE(std::string(name));
        CAPTURE(spec.dims);
        Example example;
        build_attention(example, {4, 2, 32, 0, 0, spec});
        example.kv.dtype = dtype;
        TestRun run(example.graph, example.kv, name);
        // 10 positions stay, 33 are dropped, the 47 behind them move down.
        std::vector<int32_t> tokens = some_tokens(90, kVocabulary, 8);
        run.run({{tokens}});
        run.kv().shift(std::array<int32_t, 4>{3, 1, 2, 0}, 43, 10, 47);
        const std::vector<float> shifted = run.run({{{17}, 57}});
        tokens.erase(tokens.begin() + 10, tokens.begin() + 43);
        tokens.push_back(17);
        const std::vector<float> fresh = run.run({{tokens, 0, {8, 9}}});
        CHECK(relative_error(shifted, tail(fresh, shifted.size()), mean_square(fresh)) <=
              (dtype == DType::kF32   ? kFloat
               : dtype == DType::kF16 ? kHalfCache
                                      : kEightBitCache));
      }
}

TEST_CASE("a cache of 8 bits takes little over half of one in f16") {
  const KvLayout f16{.layers = {{.kv_heads = 2, .key_dim = 64, .value_dim = 64}},
                     .dtype = DType::kF16};
  KvLayout q8 = f16;
  q8.dtype = DType::kQ8_0;
  const auto bytes = [](const KvLayout& layout) {
    return make_backend("cpu")->allocate_kv(layout, 4096)->bytes();
  };
  CHECK(bytes(f16) == 4096 * kPageTokens * 2 * 128 * 2);
  CHECK(bytes(q8) == 4096 * kPageTokens * 2 * 128 * 34 / 32);
}

TEST_CASE("a type that the cache cannot have is refused with those it can") {
  const KvLayout layout{.layers = {{.kv_heads = 1, .key_dim = 32, .value_dim = 32}},
                        .dtype = DType::kQ4_0};
  CHECK_THROWS_WITH_AS(make_backend("cpu")->allocate_kv(layout, 1),
                       "the KV cache can be f16, q8_0 or f32, not Q4_0", Error);
}

TEST_CASE("an unknown backend is refused with the list of known ones") {
  CHECK_THROWS_WITH_AS(make_backend("quantum"),
                       "unknown backend \"quantum\"; this build has: cpu, reference", Error);
}

TEST_CASE("every run of a plan is seen in its progress, however short") {
  for (const std::string_view name : backend_names()) {
    CAPTURE(std::string(name));
    Example example;
    build_layer(example, DType::kF32);
    TestRun run(example.graph, example.kv, name);
    uint64_t before = run.plan().progress().stages;
    for (int i = 0; i < 3; ++i) {
      run.run({{.tokens = {1}, .position = i}});
      const PlanProgress after = run.plan().progress();
      CHECK(after.stages > before);
      CHECK_FALSE(after.running);
      before = after.stages;
    }
  }
}

}  // namespace cria::ml
