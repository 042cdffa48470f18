// openai_completion.h - OpenAI's text completions: runner events as chunks of a stream or as one
// object (spec api-and-cli.md 2.3). Thinking is not part of this form and is dropped.
#pragma once

#include "server/openai.h"

namespace cria::server {

struct CompletionHead : OpenAiHead {
  std::string echo;  // comes before each answer
};

// Log-probabilities in the form of text completions: parallel lists of the tokens so far.
class CompletionLogprobs {
 public:
  explicit CompletionLogprobs(const std::string& echo);
  // {tokens, token_logprobs, top_logprobs, text_offset} of these entries, which follow the last.
  Json add(const Json& logprobs);

 private:
  int64_t offset_ = 0;  // in characters of the text
};

class CompletionChunks {
 public:
  explicit CompletionChunks(CompletionHead head) : head_(std::move(head)), logprobs_(head_.echo) {}
  std::vector<Json> on_text(const protocol::Text& text);
  std::vector<Json> on_done(const protocol::Done& done);
  std::vector<Json> end() const;

 private:
  Json chunk(const std::string& text, const Json& finish_reason, const Json& logprobs);

  CompletionHead head_;
  CompletionLogprobs logprobs_;
  OpenAiUsage usage_;
  int64_t choice_ = 0;
  bool begun_ = false;
};

class CompletionObject {
 public:
  explicit CompletionObject(CompletionHead head) : head_(std::move(head)), text_(head_.echo) {}
  void on_text(const protocol::Text& text);
  void on_done(const protocol::Done& done);
  Json end() const;

 private:
  CompletionHead head_;
  OpenAiUsage usage_;
  std::string text_;
  Json logprobs_ = Json::array(), choices_ = Json::array();
};

}  // namespace cria::server
