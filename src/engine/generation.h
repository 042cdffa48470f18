// generation.h - one request while it runs: from logits to events.
#pragma once

#include "engine/constraint.h"
#include "engine/draft.h"
#include "engine/options.h"
#include "engine/prompt.h"
#include "engine/sampler.h"
#include "engine/sequence.h"
#include "engine/stop_filter.h"
#include "protocol/protocol.h"
#include "text/chat/parse.h"
#include "text/tokenizer/tokenizer.h"

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>

namespace cria::engine {

using Emit = std::function<void(const protocol::Event&)>;

// What all requests of a runner share; outlives them.
struct GenerationContext {
  const text::Tokenizer& tokenizer;
  KvMemory& memory;
  int64_t vocabulary = 0;  // length of a row of logits
  bool speculation = true;
  Emit emit;
};

// What is done with the answer.
struct AnswerRules {
  std::optional<text::OutputParser> parser;  // splits it into thinking, content and tool calls
  std::optional<Constraint> constraint;      // which tokens it may have
};

class Generation {
 public:
  // The prompt fits into options.num_ctx, which is the request's context, and is not empty.
  Generation(const GenerationContext& shared, const protocol::Generate& request,
             const GenerationOptions& options, Prompt prompt, AnswerRules answer);

  uint64_t id() const { return id_; }
  const std::string& request_id() const { return request_id_; }
  Sequence& sequence() { return sequence_; }
  const Sequence& sequence() const { return sequence_; }
  bool finished() const { return finished_; }
  // Rows that one step may compute of it.
  int64_t most_rows() const;
  // While there are not enough pages for all it may be made to wait for some; its answer is the
  // same.
  bool paused() const { return paused_; }
  // Whether others that wait for pages may have them now. An answer that fits into its context ends
  // soon enough; one that has shifted may go on for many contexts, and has turns: of some tokens,
  // more of them where more is to be computed again.
  bool turn_is_over() const;
  void pause();
  void resume();
  // Of other answers and of steps of texts, since the pause.
  void note_begun() { overtaken_ += paused_ ? 1 : 0; }
  int64_t overtaken() const { return overtaken_; }
  // Before a step: makes room when the context is full, or ends the request.
  void make_room();
  // How many of the best logits `take` looks at, 0: all.
  int64_t looks_at() const { return wants_scores_ || constraint_ ? 0 : sampler_.looks_at(); }
  // Before a step: guesses at the next tokens, as many as the context and the request have room
  // for. Then how many of them the step verifies; valid until the next ones.
  std::span<const Guess> guess();
  std::span<const TokenId> verify(int64_t guesses);
  // After a step: samples the next token and sends what became certain; as long as the token is the
  // one that was guessed, the same with the logits after the guess. May change the logits.
  void take(std::span<float> logits);
  // Shares what was computed with later requests.
  void publish() { sequence_.publish(finished_); }

 private:
  using Clock = std::chrono::steady_clock;
  struct Scored {
    int64_t begin, end;  // bytes of the output
    Json entry;
  };

  TokenId take_row(std::span<float> logits);  // the token that it sampled
  Json score(std::span<const float> logits, TokenId token) const;
  void send(std::string text, bool last);
  void finish(const char* reason, std::string rest = {});
  int64_t output_limit() const;

  const GenerationContext& shared_;
  const uint64_t id_;
  const std::string request_id_;
  const GenerationOptions options_;
  const bool shift_, wants_scores_, wants_context_;
  const int64_t top_scores_;
  const int64_t prompt_tokens_;
  const protocol::Truncation truncated_;
  const int64_t keep_;            // of the prompt, when the context is full
  std::vector<int32_t> history_;  // for the next request's context: prompt and output
  Sequence sequence_;
  std::optional<Drafter> drafter_;
  std::vector<Guess> guesses_;
  std::vector<TokenId> verifying_;   // the guesses in this step
  int64_t guessed_ = 0, right_ = 0;  // guesses in all steps, and the right ones among them
  Sampler sampler_;
  text::StreamDecoder decoder_;
  StopFilter stops_;
  std::optional<text::OutputParser> parser_;
  std::optional<Constraint> constraint_;
  std::deque<Scored> scores_;       // of tokens whose text is not sent yet
  int64_t spelled_ = 0, sent_ = 0;  // bytes of output: of all tokens, and sent
  int64_t generated_ = 0, shifted_ = 0;
  int64_t turn_began_ = 0;  // with so many tokens generated
  int64_t overtaken_ = 0;
  bool finished_ = false, spoke_ = false, paused_ = false;
  Clock::time_point start_, first_token_;
};

}  // namespace cria::engine
