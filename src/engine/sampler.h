// sampler.h - from logits to the next token.
//
// The chain is logit_bias, penalties, top_k, typical_p, top_p, min_p, temperature, draw (spec
// engine.md 3.3). Logits that are not finite never win. Nothing sorts the whole vocabulary.
#pragma once

#include "engine/options.h"
#include "text/tokenizer/tokenizer.h"

#include <cstdint>
#include <deque>
#include <random>
#include <span>
#include <unordered_map>
#include <vector>

namespace cria::engine {

using text::TokenId;

struct Candidate {
  TokenId id = 0;
  float logit = 0;
};

class Sampler {
 public:
  // `context` bounds the window of the penalties when repeat_last_n is -1.
  Sampler(const SamplingOptions& options, int64_t context);
  // Tells which tokens came before: the prompt's, then each one that was sampled.
  void accept(TokenId token);
  // How many of the best logits the next token depends on; 0: on all. The others may as well be
  // -infinity, but not those equal to the last of them.
  int64_t looks_at() const;
  // May change the logits. Throws Error{kInternal} when none of them is finite.
  TokenId sample(std::span<float> logits);

 private:
  void add_bias(std::span<float> logits) const;
  void penalise(std::span<float> logits) const;
  TokenId draw(std::span<const Candidate> candidates);

  SamplingOptions options_;
  size_t window_;  // tokens that penalties look at, 0: none
  std::deque<TokenId> recent_;
  std::unordered_map<TokenId, int> counts_;
  std::mt19937 random_;
  std::vector<Candidate> candidates_;
};

// The `k` largest finite logits in descending order, equal ones by id; all when there are fewer.
void largest(std::span<const float> logits, int64_t k, std::vector<Candidate>& out);

// ln of the sum of exp over the finite logits.
double log_sum_exp(std::span<const float> logits);

}  // namespace cria::engine
