#include "engine/generation.h"

#include "base/error.h"
#include "base/log.h"
#include "engine/speculation.h"

#include <algorithm>
#include <utility>

namespace cria::engine {
namespace {

int64_t nanoseconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count();
}

// Endless output is bounded by this many contexts.
constexpr int64_t kMostContexts = 10;
// A turn has at least so many tokens, and one for so many that are computed again: these come in
// large steps, in which a token takes a fraction of the time.
constexpr int64_t kLeastTurn = 64, kAgainForToken = 16;

}  // namespace

Generation::Generation(const GenerationContext& shared, const protocol::Generate& request,
                       const GenerationOptions& options, Prompt prompt, AnswerRules answer)
    : shared_(shared),
      id_(request.id),
      request_id_(request.request_id),
      options_(options),
      shift_(request.shift),
      wants_scores_(request.logprobs),
      wants_context_(!request.chat && !request.raw),
      top_scores_(std::clamp<int64_t>(request.top_logprobs, 0, 20)),
      prompt_tokens_(std::ssize(prompt.ids)),
      truncated_(prompt.truncated),
      keep_(kept_tokens(options, prompt.has_bos, std::ssize(prompt.ids), options.num_ctx)),
      history_(prompt.ids.begin() + (prompt.has_bos ? 1 : 0), prompt.ids.end()),
      sequence_(shared.memory, std::move(prompt.ids)),
      sampler_(options.sampling, options.num_ctx),
      stops_(options.stop),
      parser_(std::move(answer.parser)),
      constraint_(std::move(answer.constraint)),
      start_(Clock::now()),
      first_token_(start_) {
  for (const TokenId token : sequence_.tokens()) sampler_.accept(token);
  // A guess would have to pass the constraint first; answers with one are never guessed at.
  if (shared.speculation && !constraint_) drafter_.emplace(sequence_.tokens());
  log::debug("request {}: {} prompt tokens, {} of them in the prefix cache", id_, prompt_tokens_,
             sequence_.reused());
}

int64_t Generation::output_limit() const {
  const int64_t most = kMostContexts * options_.num_ctx;
  return options_.num_predict < 0 ? most : std::min(options_.num_predict, most);
}

void Generation::make_room() {
  if (output_limit() == 0) return finish("length");
  if (sequence_.size() <= options_.num_ctx) return;
  // -2 asks to fill the context once.
  if (!shift_ || options_.num_predict == -2) return finish("length");
  if (sequence_.pending() > 1) return;  // was paused: what is shifted is computed again first
  const int64_t discard = std::max<int64_t>((options_.num_ctx - keep_) / 2, 1);
  // May find no pages, and is tried again then.
  if (!sequence_.shift(keep_, discard)) return;
  if (shifted_ == 0)
    log::warn("the context of {} tokens is full: each time, {} behind the first {} give way",
              options_.num_ctx, discard, keep_);
  shifted_ += discard;
}

int64_t Generation::most_rows() const {
  const int64_t asked = options_.num_batch > 0 ? options_.num_batch : INT64_MAX;
  // The token that is too many waits for the shift.
  return sequence_.size() <= options_.num_ctx ? asked : std::min(asked, sequence_.pending() - 1);
}

void Generation::pause() {
  log::debug("request {}: waits for pages of the KV cache, after {} tokens", id_, generated_);
  sequence_.pause();
  paused_ = true;
  overtaken_ = 0;
}

bool Generation::turn_is_over() const {
  return sequence_.shifted() && !sequence_.repeats() &&
         generated_ - turn_began_ >= std::max(kLeastTurn, sequence_.cost() / kAgainForToken);
}

void Generation::resume() {
  sequence_.resume();
  paused_ = false;
  turn_began_ = generated_;
  log::debug("request {}: goes on, {} of its {} tokens are in the prefix cache", id_,
             sequence_.stored(), sequence_.size());
}

Json Generation::score(std::span<const float> logits, TokenId token) const {
  const double total = log_sum_exp(logits);
  const auto entry = [&](TokenId id) {
    const std::string piece = shared_.tokenizer.piece(id, true);
    Json out = {{"token", piece}, {"logprob", logits[static_cast<size_t>(id)] - total}};
    if (piece.empty()) return out;
    Json& bytes = out["bytes"] = Json::array();
    for (const char c : piece) bytes.push_back(static_cast<unsigned char>(c));
    return out;
  };
  Json out = entry(token);
  if (top_scores_ == 0) return out;
  std::vector<Candidate> best;
  largest(logits, top_scores_, best);
  Json& top = out["top_logprobs"] = Json::array();
  for (const Candidate& candidate : best) top.push_back(entry(candidate.id));
  return out;
}

void Generation::send(std::string text, bool last) {
  sent_ += std::ssize(text);
  protocol::Text event{.id = id_, .generated_tokens = generated_};
  if (!spoke_) {
    event.prompt_tokens = prompt_tokens_;
    event.truncated = truncated_;
  }
  if (!parser_) {
    event.content = std::move(text);
  } else {
    text::Parsed part = parser_->add(text);
    if (last) part += parser_->finish();
    event.content = std::move(part.content);
    event.thinking = std::move(part.thinking);
    event.tool_calls = std::move(part.tool_calls);
    event.call_pieces = std::move(part.call_pieces);
  }
  // A token goes with the event that holds its first byte. What lies behind a stop string is
  // dropped.
  while (!scores_.empty()) {
    const Scored& next = scores_.front();
    if (next.begin >= sent_ && !(last && !stops_.stopped()) && next.end > sent_) break;
    if (next.begin < sent_ || !stops_.stopped()) event.logprobs.push_back(next.entry);
    scores_.pop_front();
  }
  if (event.content.empty() && event.thinking.empty() && event.tool_calls.empty() &&
      event.call_pieces.empty() && event.logprobs.empty())
    return;
  shared_.emit(event);
  spoke_ = true;
}

std::span<const Guess> Generation::guess() {
  if (!drafter_) return {};
  const int64_t room =
      std::min(options_.num_ctx - sequence_.size(), output_limit() - generated_ - 1);
  drafter_->guess(std::min(kMostGuesses, room), guesses_);
  // Nobody asks what follows the end.
  const auto end = std::ranges::find_if(
      guesses_, [&](const Guess& guess) { return shared_.tokenizer.is_end(guess.token); });
  guesses_.erase(end, guesses_.end());
  return guesses_;
}

std::span<const TokenId> Generation::verify(int64_t guesses) {
  verifying_.clear();
  for (const Guess& guess : std::span(guesses_).first(static_cast<size_t>(guesses)))
    verifying_.push_back(guess.token);
  guessed_ += guesses;
  return verifying_;
}

void Generation::take(std::span<float> logits) {
  const auto width = static_cast<size_t>(shared_.vocabulary);
  for (size_t row = 0;; ++row) {
    const TokenId token = take_row(logits.subspan(row * width, width));
    if (finished_ || row == verifying_.size() || token != verifying_[row]) break;
    sequence_.advance(1);  // the step has stored it
    ++right_;
  }
  verifying_.clear();
}

TokenId Generation::take_row(std::span<float> logits) {
  if (generated_ == 0) {
    first_token_ = Clock::now();
    sequence_.publish(false);  // others with the same beginning need not wait for the end
  }
  std::vector<float> raw;
  if (wants_scores_) raw.assign(logits.begin(), logits.end());
  if (constraint_) constraint_->apply(logits);
  const TokenId token = sampler_.sample(logits);
  ++generated_;
  if (shared_.tokenizer.is_end(token)) {
    finish("stop");
    return token;
  }
  sampler_.accept(token);
  sequence_.append(token);
  if (drafter_) drafter_->append(token);
  const std::string piece = shared_.tokenizer.piece(token);
  if (wants_scores_) scores_.push_back({spelled_, spelled_ + std::ssize(piece), score(raw, token)});
  spelled_ += std::ssize(piece);
  if (constraint_) constraint_->accept(piece);
  std::string text = stops_.push(decoder_.push(piece));
  if (wants_context_) history_.push_back(token);
  if (stops_.stopped()) {
    finish("stop", std::move(text));
    return token;
  }
  send(std::move(text), false);
  if (constraint_ && constraint_->complete())
    finish("stop");
  else if (generated_ >= output_limit())
    finish("length");
  return token;
}

void Generation::finish(const char* reason, std::string rest) {
  finished_ = true;
  if (!stops_.stopped()) {
    rest += stops_.push(decoder_.flush());
    rest += stops_.flush();
  }
  send(std::move(rest), true);
  const auto now = Clock::now();
  protocol::Done done{.id = id_,
                      .reason = reason,
                      .stop_string = stops_.stop_string(),
                      .prompt_tokens = prompt_tokens_,
                      .cached_tokens = sequence_.reused(),
                      .generated_tokens = generated_,
                      .guessed_tokens = guessed_,
                      .right_guesses = right_,
                      .prompt_ns = nanoseconds(first_token_ - start_),
                      .generate_ns = nanoseconds(now - first_token_),
                      .truncated = truncated_,
                      .shifted_tokens = shifted_};
  if (wants_context_) done.context = std::move(history_);
  const double prompt_seconds = static_cast<double>(done.prompt_ns) * 1e-9;
  const double seconds = static_cast<double>(done.generate_ns) * 1e-9;
  log::debug(
      "request {}: {} after {} tokens; prompt {:.1f} tokens/s, output {:.1f} tokens/s; {} of {} "
      "guessed tokens were right",
      id_, reason, generated_,
      static_cast<double>(prompt_tokens_ - sequence_.reused()) / std::max(prompt_seconds, 1e-9),
      static_cast<double>(std::max<int64_t>(generated_ - 1, 0)) / std::max(seconds, 1e-9), right_,
      guessed_);
  shared_.emit(done);
}

}  // namespace cria::engine
