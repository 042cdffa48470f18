// plan_runner.h - a model file compiled for the cpu backend, and sequences that it steps, without
// the engine around them.
#pragma once

#include "base/error.h"
#include "engine/bench_text.h"
#include "engine/vocabulary.h"
#include "models/model.h"

#include <memory>
#include <numeric>
#include <span>
#include <vector>

namespace cria {

// `count` tokens from `position` on, of a sequence.
struct Rows {
  int64_t sequence = 0, position = 0, count = 1;
};

struct PlanRunnerOptions {
  int threads = 1;
  int64_t context = 0;  // positions of each sequence
  int64_t sequences = 1;
  ml::DType kv_type = ml::DType::kF16;
  int64_t best = 0;           // logits that are asked for; 0: all
  bool late_weights = false;  // as a runner does
};

class PlanRunner {
 public:
  static constexpr int64_t kCapacity = 512;     // rows of a step
  enum class Logits : uint8_t { kLast, kAll };  // of each sequence's last row, or of every row

  PlanRunner(const char* path, const PlanRunnerOptions& options)
      : best_(options.best),
        pages_of_one_(options.context / ml::kPageTokens + 1),
        model_(models::load_model(formats::open_gguf(path), kCapacity)),
        text_(tokens_of(*model_.file, model_.vocabulary, options.context)),
        plan_(backend_->compile(
            *model_.graph, {.threads = options.threads, .late_weights = options.late_weights})) {
    model_.kv.dtype = options.kv_type;
    kv_ = backend_->allocate_kv(model_.kv, pages_of_one_ * options.sequences);
    pages_.resize(static_cast<size_t>(kv_->pages()));
    std::iota(pages_.begin(), pages_.end(), 0);
  }

  // One step. All sequences have the same text, from its beginning on.
  void step(std::span<const Rows> sequences, Logits logits = Logits::kLast) {
    std::vector<int32_t> ids, positions, outputs;
    std::vector<ml::SequenceRows> rows;
    for (const Rows& part : sequences) {
      const auto first = static_cast<int32_t>(ids.size());
      for (int64_t at = part.position; at < part.position + part.count; ++at) {
        ids.push_back(text_.at(static_cast<size_t>(at)));
        positions.push_back(static_cast<int32_t>(at));
        if (logits == Logits::kAll || at == part.position + part.count - 1)
          outputs.push_back(static_cast<int32_t>(ids.size()) - 1);
      }
      rows.push_back(
          {.first_row = first,
           .rows = part.count,
           .first_position = part.position,
           .pages = std::span(pages_).subspan(static_cast<size_t>(part.sequence * pages_of_one_),
                                              static_cast<size_t>(pages_of_one_))});
    }
    logits_.resize(
        std::max(logits_.size(), outputs.size() * static_cast<size_t>(model_.vocabulary)));
    plan_->run({.tokens = ids,
                .positions = positions,
                .outputs = outputs,
                .sequences = rows,
                .best = best_},
               *kv_,
               std::span(logits_).first(outputs.size() * static_cast<size_t>(model_.vocabulary)));
  }
  void step(const Rows& rows, Logits logits = Logits::kLast) { step(std::span(&rows, 1), logits); }

  // `count` tokens of one sequence, in as few steps as possible.
  void prompt(const Rows& rows) {
    for (int64_t done = 0; done < rows.count; done += kCapacity)
      step({.sequence = rows.sequence,
            .position = rows.position + done,
            .count = std::min(kCapacity, rows.count - done)});
  }

  ml::StepCost cost() const { return plan_->cost(); }

 private:
  // Of an English text, over and over, since how fast the best logits are found depends on what
  // tokens are; models of random weights (make_model.cpp) have no tokenizer, and get any ids.
  static std::vector<int32_t> tokens_of(const formats::ModelFile& file, int64_t vocabulary,
                                        int64_t count) {
    try {
      return engine::bench_tokens(*text::make_tokenizer(engine::vocabulary_of(file)), count);
    } catch (const Error&) {
      std::vector<int32_t> ids;
      for (int64_t i = 0; i < count; ++i)
        ids.push_back(static_cast<int32_t>(i * 7919 % vocabulary));
      return ids;
    }
  }

  int64_t best_, pages_of_one_;
  models::LoadedModel model_;
  std::vector<int32_t> text_;  // the token of each position
  std::unique_ptr<ml::Backend> backend_ = ml::make_backend("cpu");
  std::unique_ptr<ml::Plan> plan_;
  std::unique_ptr<ml::KvStore> kv_;
  std::vector<int32_t> pages_;
  std::vector<float> logits_;
};

}  // namespace cria
