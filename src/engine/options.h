// options.h - the options of a request: sampling, lengths and stop strings, from untrusted JSON.
#pragma once

#include "base/json.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace cria::engine {

struct SamplingOptions {
  int64_t seed = -1;         // -1: random
  float temperature = 0.8f;  // <= 0: always the most likely token
  int64_t top_k = 40;        // <= 0: off
  float top_p = 0.9f, min_p = 0.0f, typical_p = 1.0f;
  int64_t repeat_last_n = 64;                         // 0: no penalties, -1: the whole context
  std::vector<std::pair<int32_t, float>> logit_bias;  // token ids, what is added to their logits
  float repeat_penalty = 1.0f, presence_penalty = 0.0f, frequency_penalty = 0.0f;
};

struct GenerationOptions {
  SamplingOptions sampling;
  int64_t num_predict = -1;  // < 0: until the model stops
  int64_t num_keep = 4;      // prompt tokens that survive a context shift, -1: all
  // Most tokens of the request, and most of its prompt's in one step; 0: as many as the runner can.
  int64_t num_ctx = 0, num_batch = 0;
  std::vector<std::string> stop;
};

// Absent and null fields keep their defaults. Throws Error{kInvalidInput} naming the option for a
// wrong type or a value out of range. Unknown and retired names are ignored with a log line.
GenerationOptions parse_options(const Json& options);

}  // namespace cria::engine
