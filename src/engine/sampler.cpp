#include "engine/sampler.h"

#include "base/error.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace cria::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

bool better(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

uint32_t seed_of(int64_t seed) {
  thread_local std::random_device random;  // making one takes tens of microseconds
  if (seed == -1) return random();
  return static_cast<uint32_t>(static_cast<uint64_t>(seed));
}

TokenId most_likely(std::span<const float> logits) {
  size_t best = 0;
  float top = -kInfinity;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > top && logits[i] < kInfinity) {  // false for NaN
      top = logits[i];
      best = i;
    }
  }
  if (top == -kInfinity)
    fail(ErrorKind::kInternal, "the model produced no finite number; its file may be damaged");
  return static_cast<TokenId>(best);
}

float largest_logit(std::span<const Candidate> candidates) {
  return std::ranges::min_element(candidates, better)->logit;
}

// Probabilities of the candidates among themselves.
std::vector<double> softmax(std::span<const Candidate> candidates) {
  const double top = largest_logit(candidates);
  std::vector<double> out(candidates.size());
  double total = 0;
  for (size_t i = 0; i < candidates.size(); ++i)
    total += out[i] = std::exp(static_cast<double>(candidates[i].logit) - top);
  for (double& p : out) p /= total;
  return out;
}

// Keeps the tokens whose surprise is nearest to the entropy, until their sum passes `p`
// (arXiv 2202.00666).
void keep_typical(std::vector<Candidate>& candidates, float p) {
  if (p >= 1 || candidates.size() < 2) return;
  const std::vector<double> probability = softmax(candidates);
  double entropy = 0;
  for (const double q : probability) entropy -= q > 0 ? q * std::log(q) : 0;
  struct Ranked {
    double distance, probability;
    Candidate candidate;
  };
  std::vector<Ranked> ranked;
  ranked.reserve(candidates.size());
  for (size_t i = 0; i < candidates.size(); ++i)
    ranked.push_back(
        {std::abs(-std::log(probability[i]) - entropy), probability[i], candidates[i]});
  // A heap gives up its best one by one: only what is kept is ever ordered.
  const auto later = [](const Ranked& a, const Ranked& b) {
    return a.distance > b.distance ||
           (a.distance == b.distance && better(b.candidate, a.candidate));
  };
  std::ranges::make_heap(ranked, later);
  candidates.clear();
  double sum = 0;
  for (auto end = ranked.end(); end != ranked.begin() && sum <= p; --end) {
    std::ranges::pop_heap(ranked.begin(), end, later);
    candidates.push_back((end - 1)->candidate);
    sum += (end - 1)->probability;
  }
}

// The smallest number of most likely tokens that together reach `p`.
void keep_top_p(std::vector<Candidate>& candidates, float p) {
  if (p >= 1 || candidates.size() < 2) return;
  const double top = largest_logit(candidates);
  double total = 0;
  for (const Candidate& c : candidates) total += std::exp(static_cast<double>(c.logit) - top);
  double sum = 0;
  size_t kept = 0, sorted = 0;
  while (kept < candidates.size()) {
    if (kept == sorted) {  // order the next part; most often the first is enough
      const size_t next = std::min(candidates.size(), std::max<size_t>(64, 4 * sorted));
      std::partial_sort(candidates.begin() + static_cast<std::ptrdiff_t>(sorted),
                        candidates.begin() + static_cast<std::ptrdiff_t>(next), candidates.end(),
                        better);
      sorted = next;
    }
    sum += std::exp(static_cast<double>(candidates[kept++].logit) - top);
    if (sum >= static_cast<double>(p) * total) break;
  }
  candidates.resize(kept);
}

void keep_min_p(std::vector<Candidate>& candidates, float p) {
  if (p <= 0 || candidates.empty()) return;
  const float least = largest_logit(candidates) + std::log(p);
  std::erase_if(candidates, [&](const Candidate& c) { return c.logit < least; });
}

}  // namespace

void largest(std::span<const float> logits, int64_t k, std::vector<Candidate>& out) {
  out.clear();
  if (k <= 0) return;
  const auto limit = static_cast<size_t>(k);
  float threshold = -kInfinity;  // once there are k, the least of them
  constexpr size_t kBlock = 16;
  for (size_t start = 0; start < logits.size(); start += kBlock) {
    const size_t end = std::min(start + kBlock, logits.size());
    bool any = false;
    for (size_t i = start; i < end; ++i) any |= logits[i] > threshold;
    if (!any) continue;
    for (size_t i = start; i < end; ++i) {
      // Ids ascend, so an equal logit never replaces an earlier one. NaN compares false.
      if (!(logits[i] > threshold) || logits[i] == kInfinity) continue;
      if (out.size() == limit) {
        std::ranges::pop_heap(out, better);
        out.pop_back();
      }
      out.push_back({static_cast<TokenId>(i), logits[i]});
      std::ranges::push_heap(out, better);
      if (out.size() == limit) threshold = out.front().logit;
    }
  }
  std::ranges::sort_heap(out, better);
}

double log_sum_exp(std::span<const float> logits) {
  float top = -kInfinity;
  for (const float x : logits) top = x > top && x < kInfinity ? x : top;
  double total = 0;
  for (const float x : logits)
    if (std::isfinite(x)) total += std::exp(static_cast<double>(x - top));
  return static_cast<double>(top) + std::log(total);
}

Sampler::Sampler(const SamplingOptions& options, int64_t context)
    : options_(options), window_(0), random_(seed_of(options.seed)) {
  const bool neutral = options.repeat_penalty == 1 && options.presence_penalty == 0 &&
                       options.frequency_penalty == 0;
  if (!neutral)
    window_ = static_cast<size_t>(options.repeat_last_n < 0 ? context : options.repeat_last_n);
}

void Sampler::accept(TokenId token) {
  if (window_ == 0) return;
  recent_.push_back(token);
  ++counts_[token];
  if (recent_.size() <= window_) return;
  const auto oldest = counts_.find(recent_.front());
  if (--oldest->second == 0) counts_.erase(oldest);
  recent_.pop_front();
}

int64_t Sampler::looks_at() const {
  const int64_t most = options_.temperature <= 0 ? 1 : options_.top_k;
  if (most <= 0) return 0;
  // What only lowers logits can push out no more of the best than there are tokens to lower, so
  // what comes up in their place is among as many more.
  const auto lowers_bias = [](const auto& bias) { return bias.second <= 0; };
  const bool lowers =
      std::ranges::all_of(options_.logit_bias, lowers_bias) &&
      (window_ == 0 || (options_.repeat_penalty >= 1 && options_.presence_penalty >= 0 &&
                        options_.frequency_penalty >= 0));
  return lowers ? most + std::ssize(counts_) + std::ssize(options_.logit_bias) : 0;
}

void Sampler::add_bias(std::span<float> logits) const {
  for (const auto& [token, bias] : options_.logit_bias)
    if (static_cast<size_t>(token) < logits.size()) logits[static_cast<size_t>(token)] += bias;
}

void Sampler::penalise(std::span<float> logits) const {
  for (const auto& [token, count] : counts_) {
    if (token < 0 || static_cast<size_t>(token) >= logits.size()) continue;
    float& logit = logits[static_cast<size_t>(token)];
    if (logit > 0)
      logit /= options_.repeat_penalty;
    else
      logit *= options_.repeat_penalty;
    logit -= static_cast<float>(count) * options_.frequency_penalty + options_.presence_penalty;
  }
}

TokenId Sampler::draw(std::span<const Candidate> candidates) {
  const double top = largest_logit(candidates);
  const double temperature = options_.temperature;
  std::vector<double> sums(candidates.size());
  double total = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    total += std::exp((static_cast<double>(candidates[i].logit) - top) / temperature);
    sums[i] = total;
  }
  // Two words make one double in [0, 1): spelled out, because the standard library's own
  // distributions differ between platforms.
  const auto low = static_cast<double>(random_()), high = static_cast<double>(random_());
  const double point = (low + high * 4294967296.0) / 18446744073709551616.0 * total;
  const auto chosen = std::ranges::upper_bound(sums, point);
  return candidates[static_cast<size_t>(std::min(chosen, sums.end() - 1) - sums.begin())].id;
}

TokenId Sampler::sample(std::span<float> logits) {
  add_bias(logits);
  penalise(logits);
  if (options_.temperature <= 0 || options_.top_k == 1) return most_likely(logits);
  const auto size = static_cast<int64_t>(logits.size());
  if (options_.top_k > 0 && options_.top_k < size) {
    largest(logits, options_.top_k, candidates_);
  } else {
    candidates_.clear();
    for (size_t i = 0; i < logits.size(); ++i)
      if (std::isfinite(logits[i])) candidates_.push_back({static_cast<TokenId>(i), logits[i]});
  }
  if (candidates_.empty())
    fail(ErrorKind::kInternal, "the model produced no finite number; its file may be damaged");
  keep_typical(candidates_, options_.typical_p);
  keep_top_p(candidates_, options_.top_p);
  keep_min_p(candidates_, options_.min_p);
  return draw(candidates_);
}

}  // namespace cria::engine
