#include "engine/batcher.h"

#include "base/error.h"

#include <algorithm>
#include <cmath>

namespace cria::engine {

std::vector<int64_t> share_rows(std::span<const int64_t> pending, int64_t budget, size_t first) {
  const size_t count = pending.size();
  std::vector<int64_t> rows(count, 0);
  std::vector<size_t> prompts;
  for (size_t i = 0; i < count; ++i) {
    const size_t at = (first + i) % count;
    if (pending[at] > 1) {
      prompts.push_back(at);
    } else if (pending[at] == 1 && budget > 0) {
      rows[at] = 1;
      --budget;
    }
  }
  // What a short prompt leaves of its share goes to the others in the next round.
  while (budget > 0 && !prompts.empty()) {
    const int64_t share = std::max<int64_t>(1, budget / std::ssize(prompts));
    for (const size_t at : prompts) {
      const int64_t more = std::min({share, pending[at] - rows[at], budget});
      rows[at] += more;
      budget -= more;
    }
    std::erase_if(prompts, [&](size_t at) { return rows[at] == pending[at]; });
  }
  return rows;
}

Batcher::Batcher(ml::Plan& plan, ml::KvStore& store, int64_t vocabulary)
    : plan_(plan), store_(store), vocabulary_(vocabulary) {}

std::vector<std::span<float>> Batcher::run(std::span<const BatchItem> items) {
  tokens_.clear();
  positions_.clear();
  outputs_.clear();
  sequences_.clear();
  int64_t best = 1;
  for (const BatchItem& item : items) {
    const Sequence& sequence = *item.sequence;
    CRIA_CHECK(item.rows > 0 && item.rows <= sequence.pending(), "an item has rows to run");
    const int64_t first = sequence.stored();
    const bool ends = item.rows == sequence.pending();
    CRIA_CHECK(ends || item.guesses.empty(), "guesses follow the last token");
    sequences_.push_back({.first_row = std::ssize(tokens_),
                          .rows = item.rows + std::ssize(item.guesses),
                          .first_position = first,
                          .pages = sequence.pages()});
    const auto stored = sequence.tokens().subspan(static_cast<size_t>(first));
    tokens_.insert(tokens_.end(), stored.begin(), stored.begin() + item.rows);
    if (ends) outputs_.push_back(static_cast<int32_t>(tokens_.size()) - 1);
    for (const TokenId guess : item.guesses) {
      outputs_.push_back(static_cast<int32_t>(tokens_.size()));
      tokens_.push_back(guess);
    }
    for (int64_t i = 0; i < sequences_.back().rows; ++i)
      positions_.push_back(static_cast<int32_t>(first + i));
    if (ends) best = best == 0 || item.best == 0 ? 0 : std::max(best, item.best);
  }
  const auto width = static_cast<size_t>(vocabulary_);
  logits_.resize(std::max(logits_.size(), outputs_.size() * width));
  plan_.run({tokens_, positions_, outputs_, sequences_, best}, store_,
            std::span(logits_).first(outputs_.size() * width));
  std::vector<std::span<float>> out;
  size_t row = 0;
  for (const BatchItem& item : items) {
    const bool ends = item.rows == item.sequence->pending();
    item.sequence->advance(item.rows);
    const size_t outputs = ends ? 1 + item.guesses.size() : 0;
    out.push_back(std::span(logits_).subspan(row * width, outputs * width));
    row += outputs;
  }
  return out;
}

int64_t StepSizer::rows(double target_seconds) const {
  constexpr int64_t kLeast = 16, kUnknown = 64;  // kernels are efficient from 16 rows on
  if (seconds_per_row_ <= 0) return std::min(capacity_, kUnknown);
  const double fit = std::min(target_seconds / seconds_per_row_, 1e9);
  const int64_t whole = static_cast<int64_t>(fit) / kLeast * kLeast;
  return std::clamp(whole, std::min(kLeast, capacity_), capacity_);
}

void StepSizer::record(int64_t rows, double seconds) {
  if (rows < 16) return;  // a step of few rows costs as much as one of more: it tells nothing
  const double cost = seconds / static_cast<double>(rows);
  seconds_per_row_ = seconds_per_row_ <= 0 ? cost : 0.5 * (seconds_per_row_ + cost);
}

}  // namespace cria::engine
