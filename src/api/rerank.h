// rerank.h - requests to rank documents for a query, in the shape of Jina and Cohere, checked.
#pragma once

#include "api/duration.h"
#include "base/json.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cria::api {

struct RerankRequest {
  std::string model, query;
  std::vector<std::string> documents;  // at least one
  int64_t top_n = 0;                   // results, 0: all
  bool return_documents = false;
  bool truncate = true;  // a document that is too long loses its end; otherwise it is an error
  Json options = Json::object();
  std::optional<Nanoseconds> keep_alive;
};

// Throws Error{kInvalidInput}.
RerankRequest parse_rerank(const Json& body);

}  // namespace cria::api
