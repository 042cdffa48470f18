#include "server/truncation.h"

#include <fmt/core.h>

#include <utility>

namespace cria::server {

std::string truncated_header(const protocol::Truncation& truncated) {
  return fmt::format("messages={}, tokens={}", truncated.messages, truncated.tokens);
}

// All answers read the same prompt; each fills a context of its own.
void Losses::add(const protocol::Done& done) {
  truncated_ = done.truncated;
  shifted_ += done.shifted_tokens;
}

void Losses::tell(Json& answer) const {
  if (truncated_.any())
    answer["truncated"] = {{"messages", truncated_.messages}, {"tokens", truncated_.tokens}};
  if (shifted_ > 0) answer["shifted"] = shifted_;
}

void Losses::tell_as_ours(Json& answer) const {
  Json ours = Json::object();
  tell(ours);
  if (!ours.empty()) answer["cria"] = std::move(ours);
}

}  // namespace cria::server
