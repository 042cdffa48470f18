// openai_completion.h - OpenAI's text completions: runner events as chunks of a stream or as one
// object (spec api-and-cli.md 2.3). Thinking is not part of this form and is dropped.
#pragma once

#include "server/openai.h"

#include <map>

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

class CompletionChunks : public OpenAiAnswers {
 public:
  explicit CompletionChunks(CompletionHead head) : head_(std::move(head)) {}
  std::vector<Json> on_text(const protocol::Text& text);
  std::vector<Json> on_done(const protocol::Done& done);
  std::vector<Json> end() const;

 private:
  struct Choice {
    CompletionLogprobs logprobs;
    bool begun = false;
  };
  Choice& now() {
    return choices_.try_emplace(number(), CompletionLogprobs(head_.echo)).first->second;
  }
  Json chunk(const std::string& text, const Json& finish_reason, const Json& logprobs);

  CompletionHead head_;
  OpenAiUsage usage_;
  std::map<int64_t, Choice> choices_;
};

class CompletionObject : public OpenAiAnswers {
 public:
  explicit CompletionObject(CompletionHead head) : head_(std::move(head)) {}
  void on_text(const protocol::Text& text);
  void on_done(const protocol::Done& done);
  Json end() const;

 private:
  struct Choice {
    std::string text;  // behind the echo
    Json logprobs = Json::array();
    Json finish_reason;
  };

  CompletionHead head_;
  OpenAiUsage usage_;
  Losses losses_;
  std::map<int64_t, Choice> choices_;
};

}  // namespace cria::server
