#include "engine/sampler.h"

#include "base/error.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

namespace cria::engine {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<float> noise(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> out(n);
  for (float& x : out) x = static_cast<float>(random() % 4096) / 256.0f - 8.0f;
  return out;
}

// Every token that can come out, over many seeds.
std::set<TokenId> reachable(SamplingOptions options, const std::vector<float>& logits) {
  std::set<TokenId> out;
  for (int seed = 0; seed < 3000; ++seed) {
    options.seed = seed;
    std::vector<float> copy = logits;
    out.insert(Sampler(options, 100).sample(copy));
  }
  return out;
}

std::vector<float> logs(std::initializer_list<double> probabilities) {
  std::vector<float> out;
  for (const double p : probabilities) out.push_back(static_cast<float>(std::log(p)));
  return out;
}

TEST_CASE("largest gives what a full sort gives, for every k") {
  for (const size_t n : {1u, 15u, 16u, 17u, 100u, 1000u}) {
    const std::vector<float> logits = noise(n, static_cast<uint32_t>(n));
    std::vector<Candidate> sorted;
    for (size_t i = 0; i < n; ++i) sorted.push_back({static_cast<TokenId>(i), logits[i]});
    std::ranges::sort(sorted, [](auto& a, auto& b) {
      return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
    });
    for (const size_t k : {size_t{1}, size_t{2}, size_t{40}, n}) {
      std::vector<Candidate> got;
      largest(logits, static_cast<int64_t>(k), got);
      REQUIRE(got.size() == std::min(k, n));
      for (size_t i = 0; i < got.size(); ++i) CHECK(got[i].id == sorted[i].id);
    }
  }
}

TEST_CASE("temperature 0 takes the first of the largest logits") {
  std::vector<float> logits = {1, 5, 5, 2};
  CHECK(Sampler({.temperature = 0}, 10).sample(logits) == 1);
}

TEST_CASE("logits that are not finite never win, and nothing finite is an error") {
  for (const float temperature : {0.0f, 0.8f})
    for (const int64_t top_k : {int64_t{0}, int64_t{2}}) {
      const SamplingOptions options{.seed = 1, .temperature = temperature, .top_k = top_k};
      std::vector<float> logits = {kNan, -kInf, 3, kInf, kNan};
      CHECK(Sampler(options, 10).sample(logits) == 2);
      std::vector<float> broken = {kNan, -kInf, kInf};
      CHECK_THROWS_AS(Sampler(options, 10).sample(broken), Error);
    }
}

TEST_CASE("the next token depends on no more logits than the sampler says") {
  const std::vector<SamplingOptions> cases = {
      {.temperature = 0},
      {.temperature = 0, .repeat_penalty = 1.5f},
      {.top_k = 1},
      {.top_k = 40},
      {.top_k = 5, .repeat_penalty = 2.0f},
      {.top_k = 5, .presence_penalty = 3.0f, .frequency_penalty = 1.0f}};
  for (size_t i = 0; i < cases.size(); ++i)
    for (int64_t seed = 0; seed < 200; ++seed) {
      CAPTURE(i);
      SamplingOptions options = cases[i];
      options.seed = seed;
      std::vector<float> logits = noise(300, static_cast<uint32_t>(seed)), some = logits;
      Sampler sampler(options, 100), other(options, 100);
      std::vector<Candidate> best;
      largest(logits, 20, best);
      for (const Candidate& candidate : best)
        if (candidate.id % 2 == 0) {
          sampler.accept(candidate.id);
          other.accept(candidate.id);
        }
      const int64_t looks_at = sampler.looks_at();
      REQUIRE(looks_at > 0);
      largest(logits, looks_at, best);
      for (float& logit : some)
        if (logit < best.back().logit) logit = -kInf;
      CHECK(sampler.sample(logits) == other.sample(some));
    }
}

TEST_CASE("the next token depends on all logits without top_k, or when penalties may reward") {
  const auto looks_at = [](const SamplingOptions& options) {
    Sampler sampler(options, 10);
    sampler.accept(3);
    return sampler.looks_at();
  };
  CHECK(looks_at({.top_k = 40}) == 40);
  CHECK(looks_at({.top_k = 40, .repeat_penalty = 1.1f}) == 41);
  CHECK(looks_at({.top_k = 0}) == 0);
  CHECK(looks_at({.top_k = 40, .repeat_penalty = 0.9f}) == 0);
  CHECK(looks_at({.top_k = 40, .presence_penalty = -1.0f}) == 0);
  CHECK(looks_at({.top_k = 40, .frequency_penalty = -1.0f}) == 0);
  CHECK(looks_at({.top_k = 40, .logit_bias = {{1, -100.0f}, {2, -1.0f}}}) == 42);
  CHECK(looks_at({.top_k = 40, .logit_bias = {{1, -100.0f}}, .repeat_penalty = 1.1f}) == 42);
  CHECK(looks_at({.top_k = 40, .logit_bias = {{1, -100.0f}, {2, 0.5f}}}) == 0);
  CHECK(looks_at({.temperature = 0, .logit_bias = {{1, 1.0f}}}) == 0);
}

TEST_CASE("a bias is added to its token's logit before anything else, wherever the best ones are") {
  std::vector<float> logits = {1, 5, 4, 3};
  const auto greedy = [&](std::vector<std::pair<int32_t, float>> bias) {
    Sampler sampler({.temperature = 0, .logit_bias = std::move(bias)}, 10);
    std::vector<float> some = logits;
    if (const int64_t most = sampler.looks_at(); most > 0) {  // the rest is not computed
      std::vector<Candidate> best;
      largest(logits, most, best);
      for (float& logit : some)
        if (logit < best.back().logit) logit = -kInf;
    }
    return sampler.sample(some);
  };
  CHECK(greedy({}) == 1);
  CHECK(greedy({{1, -100.0f}}) == 2);
  CHECK(greedy({{1, -100.0f}, {2, -100.0f}}) == 3);
  CHECK(greedy({{0, 100.0f}}) == 0);
  CHECK(greedy({{1, -1.5f}}) == 2);
  CHECK(greedy({{99, 100.0f}}) == 1);  // no such token
  // Half of what the bias makes of it, as the penalty comes later.
  Sampler sampler({.temperature = 0, .logit_bias = {{0, 7.0f}}, .repeat_penalty = 2}, 10);
  sampler.accept(0);
  CHECK(sampler.sample(logits) == 1);
}

TEST_CASE("equal seeds draw equal tokens, other seeds others") {
  const std::vector<float> logits = noise(500, 3);
  const auto run = [&](int64_t seed) {
    Sampler sampler({.seed = seed, .temperature = 2, .top_k = 0, .top_p = 1}, 10);
    std::vector<TokenId> out;
    for (int i = 0; i < 20; ++i) {
      std::vector<float> copy = logits;
      out.push_back(sampler.sample(copy));
    }
    return out;
  };
  CHECK(run(7) == run(7));
  CHECK(run(7) != run(8));
}

TEST_CASE("top_p keeps the smallest set that reaches p") {
  const std::vector<float> logits = logs({0.1, 0.4, 0.2, 0.3});
  CHECK(reachable({.temperature = 1, .top_k = 0, .top_p = 0.35f}, logits) == std::set<TokenId>{1});
  CHECK(reachable({.temperature = 1, .top_k = 0, .top_p = 0.65f}, logits) ==
        std::set<TokenId>{1, 3});
  CHECK(reachable({.temperature = 1, .top_k = 0, .top_p = 0.85f}, logits) ==
        std::set<TokenId>{1, 2, 3});
  CHECK(reachable({.temperature = 1, .top_k = 0, .top_p = 0.0f}, logits) == std::set<TokenId>{1});
}

TEST_CASE("top_p over a flat vocabulary needs more than its first sorted part") {
  const std::vector<float> logits(1000, 1.0f);
  const std::set<TokenId> got = reachable({.temperature = 1, .top_k = 0, .top_p = 0.5f}, logits);
  CHECK(*got.rbegin() == 499);  // equal logits are ordered by id
  CHECK(got.size() > 450);
}

TEST_CASE("min_p is relative to the most likely token") {
  const std::vector<float> logits = logs({0.5, 0.26, 0.24});
  CHECK(reachable({.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0.5f}, logits) ==
        std::set<TokenId>{0, 1});
}

TEST_CASE("typical_p prefers tokens whose surprise is near the entropy") {
  // Entropy 1.219 nats; surprises 0.693, 1.386, 2.079, 2.079: token 1 is the most typical.
  const std::vector<float> logits = logs({0.5, 0.25, 0.125, 0.125});
  CHECK(reachable({.temperature = 1, .top_k = 0, .top_p = 1, .typical_p = 0.2f}, logits) ==
        std::set<TokenId>{1});
  CHECK(reachable({.temperature = 1, .top_k = 0, .top_p = 1, .typical_p = 0.6f}, logits) ==
        std::set<TokenId>{0, 1});
}

TEST_CASE("top_k applies before temperature and leaves k tokens") {
  const std::vector<float> logits = noise(200, 9);
  std::vector<Candidate> best;
  largest(logits, 3, best);
  const auto got = reachable({.temperature = 100, .top_k = 3, .top_p = 1}, logits);
  CHECK(got == std::set<TokenId>{best[0].id, best[1].id, best[2].id});
}

TEST_CASE("penalties act on the window alone: divide or multiply, then subtract") {
  Sampler sampler({.temperature = 0,
                   .repeat_last_n = 3,
                   .repeat_penalty = 2,
                   .presence_penalty = 0.5f,
                   .frequency_penalty = 0.25f},
                  10);
  for (const TokenId t : {3, 0, 0, 1}) sampler.accept(t);  // 3 has left the window
  std::vector<float> logits = {4, -1, 1.1f, 1.2f};
  CHECK(sampler.sample(logits) == 3);
  CHECK(logits[0] == doctest::Approx(4.0 / 2 - 2 * 0.25 - 0.5));
  CHECK(logits[1] == doctest::Approx(-1.0 * 2 - 0.25 - 0.5));
  CHECK(logits[3] == 1.2f);
}

TEST_CASE("draws follow the tempered distribution") {
  const std::vector<float> logits = logs({0.5, 0.3, 0.15, 0.05});
  const double temperature = 0.7;
  double total = 0;
  for (const float x : logits) total += std::exp(x / temperature);
  Sampler sampler({.seed = 42, .temperature = 0.7f, .top_k = 0, .top_p = 1}, 10);
  std::map<TokenId, int> counts;
  constexpr int kDraws = 40000;
  for (int i = 0; i < kDraws; ++i) {
    std::vector<float> copy = logits;
    ++counts[sampler.sample(copy)];
  }
  double chi2 = 0;
  for (TokenId t = 0; t < 4; ++t) {
    const double expected = std::exp(logits[static_cast<size_t>(t)] / temperature) / total * kDraws;
    chi2 += (counts[t] - expected) * (counts[t] - expected) / expected;
  }
  CHECK(chi2 < 16.3);  // 3 degrees of freedom, 0.1 %
}

TEST_CASE("log_sum_exp does not overflow and skips what is not finite") {
  CHECK(log_sum_exp(std::vector<float>{1000, 1000, kNan}) == doctest::Approx(1000 + std::log(2.0)));
}

}  // namespace
}  // namespace cria::engine
