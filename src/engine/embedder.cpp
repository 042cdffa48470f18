#include "engine/embedder.h"

#include "base/error.h"
#include "base/log.h"
#include "base/log_context.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace cria::engine {
namespace {

using models::Pooling;

// Length 1, or as it is when there is no direction.
void normalize(std::vector<float>& values) {
  double squares = 0;
  for (const float value : values) squares += double{value} * double{value};
  const double length = std::max(std::sqrt(squares), 1e-12);
  for (float& value : values) value = static_cast<float>(double{value} / length);
}

}  // namespace

Embedder::Embedder(LoadedEngine& loaded, Emit emit)
    : loaded_(loaded),
      beside_logits_(loaded.model.result == models::Result::kLogits),
      most_pages_(beside_logits_ ? loaded.pages_each() : loaded.memory->pool().size()),
      emit_(std::move(emit)) {}

void Embedder::submit(PreparedTexts request) {
  requests_.push_back({.asked = std::move(request.request),
                       .texts = std::move(request.texts),
                       .start = request.start});
}

void Embedder::fail_request(const Request& request, ErrorKind kind, const std::string& message) {
  const log::RequestScope scope(request.asked.request_id);
  log::debug("request {}: {}", request.asked.id, message);
  emit_(protocol::Failure{.id = request.asked.id, .kind = kind, .message = message});
  drop(request);
}

void Embedder::give_back(const Text& text) {
  for (const int32_t page : text.pages) loaded_.memory->pool().release(page);
  pages_held_ -= std::ssize(text.pages);
}

void Embedder::drop(const Request& request) {
  std::erase_if(texts_, [&](const Text& text) {
    if (text.request != &request) return false;
    give_back(text);
    return true;
  });
  requests_.remove_if([&](const Request& other) { return &other == &request; });
}

bool Embedder::cancel(uint64_t id) {
  const auto found =
      std::ranges::find_if(requests_, [&](const Request& r) { return r.asked.id == id; });
  if (found == requests_.end()) return false;
  fail_request(*found, ErrorKind::kCancelled, "the request was cancelled");
  return true;
}

bool Embedder::reserve(Text& text) {
  constexpr int64_t kPage = ml::kPageTokens;
  const int64_t wanted = (std::ssize(text.tokens) + kPage - 1) / kPage;
  if (pages_held_ + wanted > most_pages_) return false;
  if (loaded_.memory->available() < wanted) return false;  // kept prompts go for nothing less
  while (std::ssize(text.pages) < wanted) {
    const std::optional<int32_t> page = loaded_.memory->try_take();
    if (!page) {  // answers hold them
      give_back(text);
      text.pages.clear();
      return false;
    }
    text.pages.push_back(*page);
    ++pages_held_;
  }
  return true;
}

// Begins the request's next input. False when it has none left.
bool Embedder::admit_next(Request& request) {
  if (request.next == request.texts.size()) return false;
  if (request.next == 0) emit_(protocol::Begun{.id = request.asked.id});
  PreparedTexts::Text& next = request.texts[request.next];
  texts_.push_back({.request = &request,
                    .index = static_cast<int64_t>(request.next),
                    .tokens = std::move(next.tokens),
                    .truncated = next.truncated,
                    .second = next.second});
  ++request.next;
  request.tokens += std::ssize(texts_.back().tokens);
  request.truncated += next.truncated;
  return true;
}

// Begins inputs of all requests in turn until there are enough for a step.
void Embedder::admit() {
  int64_t rows = 0;
  for (Text& text : texts_) {
    if (text.pages.empty() && !reserve(text)) return;
    rows += std::ssize(text.tokens) - text.stored;
  }
  for (size_t idle = 0; idle < requests_.size() && rows < loaded_.capacity &&
                        std::ssize(texts_) < kMostTextsOfStep;) {
    requests_.splice(requests_.end(), requests_, requests_.begin());
    if (!admit_next(requests_.back())) {
      ++idle;
      continue;
    }
    idle = 0;
    rows += std::ssize(texts_.back().tokens);
    if (!reserve(texts_.back())) return;  // until others have ended
  }
}

std::vector<Embedder::Share> Embedder::choose_rows() {
  std::vector<Share> shares;
  // A step that is longer than it has to be keeps those waiting who cancel.
  int64_t budget = std::min(loaded_.capacity, kMostRows);
  for (Text& text : texts_) {
    if (text.pages.empty()) continue;
    const int64_t left = std::ssize(text.tokens) - text.stored;
    if (!loaded_.model.causal && shares.empty()) budget = std::max(budget, left);
    const int64_t rows = std::min(left, budget);
    if (rows == 0) break;
    if (!loaded_.model.causal && rows < left) continue;
    budget -= rows;
    shares.push_back({.text = &text, .rows = rows, .outputs = 0});
  }
  return shares;
}

void Embedder::run(std::vector<Share>& shares) {
  const Pooling pooling = loaded_.model.pooling;
  std::vector<ml::SequenceRows> sequences;
  ids_.clear();
  positions_.clear();
  segments_.clear();
  outputs_.clear();
  for (Share& share : shares) {
    const Text& text = *share.text;
    const int64_t first_row = std::ssize(ids_);
    sequences.push_back({.first_row = first_row,
                         .rows = share.rows,
                         .first_position = text.stored,
                         .pages = text.pages});
    for (int64_t position = text.stored; position < text.stored + share.rows; ++position) {
      const bool first = position == 0, last = position + 1 == std::ssize(text.tokens);
      const bool of_first = pooling == Pooling::kFirst || pooling == Pooling::kRank;
      const bool wanted = pooling == Pooling::kMean || (of_first ? first : last);
      if (wanted) outputs_.push_back(static_cast<int32_t>(ids_.size()));
      share.outputs += wanted ? 1 : 0;
      ids_.push_back(text.tokens[static_cast<size_t>(position)]);
      positions_.push_back(static_cast<int32_t>(position));
      const bool in_second = text.second > 0 && position >= text.second;
      segments_.push_back(in_second && loaded_.model.segments > 1 ? 1 : 0);
    }
  }
  const auto width = static_cast<size_t>(loaded_.model.vector_width());
  hidden_.resize(outputs_.size() * width);
  loaded_.plan->run({.tokens = ids_,
                     .positions = positions_,
                     .outputs = outputs_,
                     .sequences = sequences,
                     .segments = segments_,
                     .hidden = beside_logits_},
                    loaded_.memory->store(), hidden_);
}

void Embedder::collect(Share& share, std::span<const float> hidden) {
  Text& text = *share.text;
  const auto width = static_cast<size_t>(loaded_.model.vector_width());
  text.sums.resize(width);
  for (size_t i = 0; i < hidden.size(); ++i) text.sums[i % width] += double{hidden[i]};
  text.stored += share.rows;
}

std::vector<float> Embedder::vector_of(const Text& text) const {
  const protocol::Embed& asked = text.request->asked;
  const double count =
      loaded_.model.pooling == Pooling::kMean ? static_cast<double>(text.tokens.size()) : 1.0;
  std::vector<float> values;
  values.reserve(text.sums.size());
  for (const double sum : text.sums) {
    values.push_back(static_cast<float>(sum / count));
    if (!std::isfinite(values.back()))
      fail(ErrorKind::kInternal, "embedding contains NaN or Inf values");
  }
  if (asked.query) return values;  // one score, as it is
  const bool unit = asked.normalize || loaded_.normalizes;
  if (unit) normalize(values);
  if (asked.dimensions > 0 && asked.dimensions < std::ssize(values)) {
    values.resize(static_cast<size_t>(asked.dimensions));
    if (unit) normalize(values);
  }
  return values;
}

// The request is gone afterwards if this was its last text.
void Embedder::finish(Text& text) {
  Request& request = *text.request;
  const uint64_t id = request.asked.id;
  emit_(protocol::Vector{.id = id,
                         .index = text.index,
                         .values = vector_of(text),
                         .truncated_tokens = text.truncated});
  give_back(text);
  texts_.remove_if([&](const Text& other) { return &other == &text; });
  if (++request.finished < request.texts.size()) return;
  const auto taken = std::chrono::nanoseconds(Clock::now() - request.start);
  const log::RequestScope scope(request.asked.request_id);
  log::debug("request {}: {} inputs of {} tokens, {:.1f} ms", id, request.finished, request.tokens,
             std::chrono::duration<double, std::milli>(taken).count());
  emit_(protocol::Done{.id = id,
                       .reason = "stop",
                       .prompt_tokens = request.tokens,
                       .prompt_ns = taken.count(),
                       .truncated = {.tokens = request.truncated}});
  drop(request);
}

void Embedder::step(bool begins) {
  if (begins) admit();
  std::vector<Share> shares = choose_rows();
  if (shares.empty()) return;
  run(shares);
  size_t row = 0;
  const auto width = static_cast<size_t>(loaded_.model.vector_width());
  for (Share& share : shares) {
    collect(share, std::span(hidden_).subspan(row * width, share.outputs * width));
    row += share.outputs;
  }
  // A failure takes the other texts of its request along.
  std::vector<const Text*> ended;
  for (const Share& share : shares)
    if (share.text->stored == std::ssize(share.text->tokens)) ended.push_back(share.text);
  for (const Text* const text : ended) {
    const auto here =
        std::ranges::find_if(texts_, [&](const Text& other) { return &other == text; });
    if (here == texts_.end()) continue;
    try {
      finish(*here);
    } catch (const Error& e) {
      fail_request(*here->request, e.kind(), e.what());
    }
  }
}

}  // namespace cria::engine
