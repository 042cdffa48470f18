#include "engine/speculation.h"

#include <algorithm>
#include <functional>

namespace cria::engine {
namespace {

constexpr double kRowCost = 0.15;     // of a further row, before anything was measured
constexpr double kGain = 1.05;        // by less, guessing does not pay for its risk
constexpr double kSharedCost = 1.25;  // most that guesses may lengthen a step of several sequences
// After so many steps with guesses a plain one shows what they are compared with; what a number of
// rows takes is tried again when nobody has measured it for long.
constexpr int64_t kPlainExpiry = 64, kExpiry = 1024;

// One step may have been interrupted: it moves an estimate by little.
double moved(double estimate, double sample) {
  return estimate + (std::clamp(sample, estimate / 2, estimate * 1.5) - estimate) / 4;
}

}  // namespace

bool StepCosts::fresh(int64_t rows, int64_t steps) const {
  const Cost& cost = costs_[static_cast<size_t>(rows)];
  return cost.seconds > 0 && steps_ - cost.step < steps;
}

bool StepCosts::knows(int64_t sequences) const {
  return sequences <= kMostRows && fresh(sequences, kPlainExpiry);
}

double StepCosts::of(int64_t rows, int64_t sequences) const {
  if (rows == sequences) return 1;
  // A number that was not measured lies on the line through the plain step and the nearest one that
  // was.
  double slope = kRowCost;
  int64_t distance = kMostRows;
  for (int64_t at = sequences + 1; at <= kMostRows; ++at) {
    if (!fresh(at, kExpiry) || std::abs(at - rows) >= distance) continue;
    distance = std::abs(at - rows);
    const double ratio =
        costs_[static_cast<size_t>(at)].seconds / costs_[static_cast<size_t>(sequences)].seconds;
    slope = std::max(ratio - 1, 0.0) / static_cast<double>(at - sequences);
  }
  return 1 + slope * static_cast<double>(rows - sequences);
}

void StepCosts::record(int64_t rows, int64_t sequences, double seconds) {
  ++steps_;
  if (rows > kMostRows) return;
  Cost& cost = costs_[static_cast<size_t>(rows)];
  if (rows > sequences) {
    if (!knows(sequences)) return;
    const double plain = costs_[static_cast<size_t>(sequences)].seconds;
    cost = {moved(plain * of(rows, sequences), seconds), steps_};
    return;
  }
  const double estimate = fresh(rows, kExpiry) ? moved(cost.seconds, seconds) : seconds;
  // What makes plain steps slower or faster, a longer past or a busy machine, does so to all.
  const double change = cost.seconds > 0 ? estimate / cost.seconds : 1;
  for (Cost& other : costs_) other.seconds *= change;
  cost = {estimate, steps_};
}

std::vector<int64_t> share_guesses(std::span<const std::span<const Guess>> guesses,
                                   const StepCosts& costs, int64_t budget) {
  struct Offer {
    double probability;
    size_t sequence;
  };
  std::vector<int64_t> out(guesses.size(), 0);
  const int64_t sequences = std::ssize(guesses);
  if (!costs.knows(sequences)) return out;
  std::vector<Offer> offers;
  for (size_t i = 0; i < guesses.size(); ++i)
    for (const Guess& guess : guesses[i]) offers.push_back({guess.probability, i});
  // Along a sequence's guesses the probability never rises, so their order stays.
  std::ranges::sort(offers, [](const Offer& a, const Offer& b) {
    return a.probability != b.probability ? a.probability > b.probability : a.sequence < b.sequence;
  });
  auto tokens = static_cast<double>(sequences);
  double best = kGain * tokens;
  int64_t chosen = 0;
  const int64_t most = std::min<int64_t>(budget, std::ssize(offers));
  for (int64_t count = 1; count <= most; ++count) {
    tokens += offers[static_cast<size_t>(count - 1)].probability;
    const double cost = costs.of(sequences + count, sequences);
    if ((sequences > 1 && cost > kSharedCost) || tokens / cost <= best) continue;
    best = tokens / cost;
    chosen = count;
  }
  for (int64_t i = 0; i < chosen; ++i) ++out[offers[static_cast<size_t>(i)].sequence];
  return out;
}

std::vector<int64_t> share_all_guesses(std::span<const std::span<const Guess>> guesses,
                                       int64_t budget) {
  std::vector<int64_t> out;
  for (const std::span<const Guess>& offered : guesses) {
    out.push_back(std::min(std::ssize(offered), budget));
    budget -= out.back();
  }
  return out;
}

}  // namespace cria::engine
