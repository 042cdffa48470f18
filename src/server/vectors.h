// vectors.h - texts to a runner and vectors back: what embedding and ranking share.
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
  int64_t tokens = 0;
  api::Nanoseconds total{0}, load{0};
};

// Throws what the scheduler and the runner report.
Vectors vectors_of(Service& service, const std::stop_token& gone, VectorCall call);

}  // namespace cria::server
