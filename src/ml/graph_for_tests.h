// graph_for_tests.h - small graphs with made-up weights, and runs of them on a named backend.
#pragma once

#include "base/error.h"
#include "ml/backend.h"
#include "ml/graph.h"
#include "quant/half.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

namespace cria::ml {

// Reproducible numbers in [-1, 1), spread evenly.
class Noise {
 public:
  explicit Noise(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
  uint32_t bits() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 32);
  }
  float next() { return static_cast<float>(bits()) * 0x1p-31f - 1.0f; }

 private:
  uint64_t state_;
};

// Weights of any stored type; they live as long as this object.
class TestWeights {
 public:
  // Random blocks whose scales are small and finite.
  Tensor make(DType dtype, const Shape& shape) {
    const quant::DTypeInfo& type = quant::info(dtype);
    const int64_t elements = shape[0] * shape[1] * shape[2] * shape[3];
    std::vector<std::byte> bytes(
        static_cast<size_t>(elements / type.block_elements * type.block_bytes));
    if (type.block_elements == 1) {
      std::vector<float> values(static_cast<size_t>(elements));
      for (float& value : values) value = noise_.next();
      type.quantize(values.data(), bytes.data(), elements);
      return blocks(dtype, shape, bytes);
    }
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(noise_.bits() >> 24);
    for (size_t block = 0; block < bytes.size(); block += static_cast<size_t>(type.block_bytes))
      for (const size_t offset : scale_offsets(dtype)) {
        const uint16_t scale = quant::float_to_half(0.01f + 0.01f * std::abs(noise_.next()));
        std::memcpy(&bytes[block + offset], &scale, sizeof scale);
      }
    if (dtype == DType::kMXFP4)  // an exponent instead
      for (size_t block = 0; block < bytes.size(); block += static_cast<size_t>(type.block_bytes))
        bytes[block] = std::byte{121};
    return blocks(dtype, shape, bytes);
  }

  Tensor floats(const Shape& shape, const std::vector<float>& values) {
    std::vector<std::byte> bytes(values.size() * sizeof(float));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return blocks(DType::kF32, shape, bytes);
  }

  // Blocks as they are in a file.
  Tensor blocks(DType dtype, const Shape& shape, const std::vector<std::byte>& bytes) {
    std::FILE* stream = std::tmpfile();
    CRIA_CHECK(stream != nullptr, "a temporary file");
    const size_t written = std::fwrite(bytes.data(), 1, bytes.size(), stream);
    CRIA_CHECK(written == bytes.size() && std::fflush(stream) == 0, "a temporary file");
    const std::string name = "weight " + std::to_string(sources_.size());
    sources_.push_back({.name = name,
                        .dtype = dtype,
                        .file = File::adopt(::dup(::fileno(stream)), name),
                        .bytes = static_cast<int64_t>(bytes.size())});
    std::fclose(stream);
    nodes_.push_back({.op = Op::kWeight, .shape = shape, .weight = &sources_.back()});
    return {nullptr, &nodes_.back()};
  }

 private:
  // Where a block keeps its half-precision scales.
  static std::vector<size_t> scale_offsets(DType dtype) {
    switch (dtype) {
      case DType::kQ4_1:
      case DType::kQ5_1:
      case DType::kQ4_K:
      case DType::kQ5_K:
        return {0, 2};
      case DType::kQ6_K:
        return {208};
      case DType::kQ2_K:
        return {80, 82};
      case DType::kQ3_K:
        return {108};
      case DType::kTQ1_0:
        return {52};
      case DType::kTQ2_0:
        return {64};
      default:
        return {0};
    }
  }

  Noise noise_{7};
  std::deque<WeightSource> sources_;
  std::deque<Node> nodes_;
};

// A compiled graph with a cache, run with explicit rows.
class TestRun {
 public:
  TestRun(const Graph& graph, const KvLayout& layout, std::string_view backend,
          const CompileOptions& options = {})
      : width_(graph.result()->shape[0]),
        hidden_width_(graph.hidden() == nullptr ? 0 : graph.hidden()->shape[0]),
        backend_(make_backend(backend)),
        plan_(backend_->compile(graph, options)),
        kv_(backend_->allocate_kv(layout, kPages)) {}

  // Tokens of one sequence at consecutive positions from `position`, in the pages given.
  struct Part {
    std::vector<int32_t> tokens;
    int64_t position = 0;
    std::vector<int32_t> pages = {3, 1, 2, 0};
  };
  // The results of every row, or its hidden states.
  std::vector<float> run(const std::vector<Part>& parts, bool hidden = false) {
    std::vector<int32_t> tokens, positions;
    std::vector<SequenceRows> sequences;
    for (const Part& part : parts) {
      sequences.push_back({.first_row = static_cast<int64_t>(tokens.size()),
                           .rows = static_cast<int64_t>(part.tokens.size()),
                           .first_position = part.position,
                           .pages = part.pages});
      for (size_t i = 0; i < part.tokens.size(); ++i)
        positions.push_back(static_cast<int32_t>(part.position) + static_cast<int32_t>(i));
      tokens.insert(tokens.end(), part.tokens.begin(), part.tokens.end());
    }
    std::vector<int32_t> outputs(tokens.size());
    std::iota(outputs.begin(), outputs.end(), 0);
    const auto width = static_cast<size_t>(hidden ? hidden_width_ : width_);
    std::vector<float> result(outputs.size() * width);
    plan_->run({.tokens = tokens,
                .positions = positions,
                .outputs = outputs,
                .sequences = sequences,
                .hidden = hidden},
               *kv_, result);
    return result;
  }
  KvStore& kv() { return *kv_; }
  Plan& plan() { return *plan_; }

 private:
  static constexpr int64_t kPages = 32;
  int64_t width_, hidden_width_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Plan> plan_;
  std::unique_ptr<KvStore> kv_;
};

inline std::vector<int32_t> some_tokens(size_t n, int32_t vocabulary, uint64_t seed = 1) {
  Noise noise(seed);
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < n; ++i)
    tokens.push_back(static_cast<int32_t>(noise.bits() % static_cast<uint32_t>(vocabulary)));
  return tokens;
}

inline double mean_square(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += double{value} * double{value};
  return sum / static_cast<double>(values.size());
}

// Mean squared error over `magnitude`, a mean square of typical values: not of these, which may
// cancel to nothing when they are few.
inline double relative_error(const std::vector<float>& values, const std::vector<float>& wanted,
                             double magnitude) {
  if (values.size() != wanted.size()) return INFINITY;
  std::vector<float> differences;
  for (size_t i = 0; i < values.size(); ++i) differences.push_back(values[i] - wanted[i]);
  const double error = mean_square(differences);
  return std::isfinite(error) ? error / magnitude : INFINITY;
}

}  // namespace cria::ml
