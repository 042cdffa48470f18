// vectors.h - texts to a runner and vectors back, and what is said of those that were too long:
// what embedding and ranking share.
#pragma once

#include "server/service.h"

#include <optional>
#include <stop_token>
#include <vector>

namespace cria::server {

struct VectorCall {
  ModelUse use;
  std::optional<api::Nanoseconds> keep_alive;
  protocol::Embed asked;  // without inputs: only load the model
};

struct Vectors {
  std::vector<std::vector<float>> values;  // in the order of the inputs; none is empty
  std::vector<int64_t> truncated;          // for each input, how many tokens it lost at its end
  int64_t tokens = 0;
  api::Nanoseconds total{0}, load{0};
};

// Throws what the scheduler and the runner report.
Vectors vectors_of(Service& service, const std::stop_token& gone, VectorCall call);

// Puts into the log and into the answer's header that inputs were too long. What its body is to
// say: {inputs: [{index, tokens}, ...], tokens}, of those alone; null where there are none.
Json report_truncated(http::Exchange& exchange, const Vectors& vectors);

}  // namespace cria::server
