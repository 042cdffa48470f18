// session_for_tests.h - one sequence run through a model by a named backend. For tests and
// benchmarks only: the engine has its own loop.
#pragma once

#include "base/error.h"
#include "ml/backend.h"
#include "models/model.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <string_view>
#include <vector>

namespace cria::models {

class TestSession {
 public:
  struct Options {
    std::string_view backend = "reference";
    int64_t capacity = 128;   // tokens of one step
    int64_t positions = 256;  // of the sequence
    bool float_weights = true;
    ml::DType kv_type = ml::DType::kF32;
    ml::Tap tap;
  };
  TestSession(std::shared_ptr<const formats::ModelFile> file, const Options& options)
      : model_(load_model(std::move(file), options.capacity)),
        backend_(ml::make_backend(options.backend)),
        capacity_(static_cast<size_t>(options.capacity)) {
    const int64_t pages = (options.positions + ml::kPageTokens - 1) / ml::kPageTokens;
    pages_.resize(static_cast<size_t>(pages));
    std::iota(pages_.rbegin(), pages_.rend(), 0);  // backwards: pages need not lie in order
    plan_ = backend_->compile(*model_.graph,
                              {.float_weights = options.float_weights, .tap = options.tap});
    model_.kv.dtype = options.kv_type;
    kv_ = backend_->allocate_kv(model_.kv, pages);
  }

  const LoadedModel& model() const { return model_; }
  ml::KvStore& kv() { return *kv_; }
  std::span<const int32_t> pages() const { return pages_; }
  int64_t position() const { return position_; }
  void rewind(int64_t position) { position_ = position; }
  // Of the sequence's positions; 0 behind them.
  void set_segments(std::vector<int32_t> segments) { segments_ = std::move(segments); }

  // Appends the tokens; the logits of the last `wanted` of them, row after row.
  std::vector<float> append(std::span<const int32_t> tokens, size_t wanted = 1) {
    std::vector<float> logits;
    while (!tokens.empty()) {
      const auto chunk = tokens.first(std::min(tokens.size(), capacity_));
      tokens = tokens.subspan(chunk.size());
      const size_t later = std::min(tokens.size(), wanted);
      const std::vector<float> part = step(chunk, std::min(chunk.size(), wanted - later));
      logits.insert(logits.end(), part.begin(), part.end());
    }
    return logits;
  }

 private:
  std::vector<float> step(std::span<const int32_t> tokens, size_t wanted) {
    std::vector<int32_t> positions(tokens.size()), outputs(wanted);
    std::iota(positions.begin(), positions.end(), static_cast<int32_t>(position_));
    std::iota(outputs.begin(), outputs.end(), static_cast<int32_t>(tokens.size() - wanted));
    const ml::SequenceRows rows{.first_row = 0,
                                .rows = static_cast<int64_t>(tokens.size()),
                                .first_position = position_,
                                .pages = pages_};
    std::vector<int32_t> segments(tokens.size(), 0);
    for (size_t i = 0; i < tokens.size(); ++i)
      if (const auto at = static_cast<size_t>(position_) + i; at < segments_.size())
        segments[i] = segments_[at];
    std::vector<float> logits(wanted * static_cast<size_t>(model_.result_width()));
    CRIA_CHECK(position_ + rows.rows <= static_cast<int64_t>(pages_.size()) * ml::kPageTokens,
               "the test's sequence has room");
    plan_->run({.tokens = tokens,
                .positions = positions,
                .outputs = outputs,
                .sequences = std::span(&rows, 1),
                .segments = segments},
               *kv_, logits);
    position_ += rows.rows;
    return logits;
  }

  LoadedModel model_;
  std::unique_ptr<ml::Backend> backend_;
  size_t capacity_;
  std::unique_ptr<ml::Plan> plan_;
  std::unique_ptr<ml::KvStore> kv_;
  std::vector<int32_t> pages_;
  int64_t position_ = 0;
  std::vector<int32_t> segments_;
};

// Highest logit, and its distance to the second.
struct Best {
  int32_t id = 0;
  float margin = 0;
};
inline Best best_of(std::span<const float> logits) {
  const auto top = std::ranges::max_element(logits);
  float second = -INFINITY;
  for (auto it = logits.begin(); it != logits.end(); ++it)
    if (it != top) second = std::max(second, *it);
  return {static_cast<int32_t>(top - logits.begin()), *top - second};
}

}  // namespace cria::models
