// openai.h - OpenAI's chat and text completions: runner events as chunks of a stream or as one
// object (spec api-and-cli.md 2.2, 2.3). Pure but for ids and the time.
#pragma once

#include "base/json.h"
#include "protocol/protocol.h"
#include "server/call_pieces.h"
#include "server/truncation.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace cria::server {

// How an answer begins and what it is asked to say.
struct OpenAiHead {
  std::string id;
  int64_t created = 0;  // seconds of Unix time
  std::string model;    // as asked
  bool include_usage = false;
  bool single_call = false;  // calls after the first are dropped
};

// Tokens of all answers to one prompt, which counts once.
class OpenAiUsage {
 public:
  void add(const protocol::Done& done);
  Json json() const;

 private:
  int64_t prompt_ = 0, cached_ = 0, completion_ = 0;
};

// `{id, type, function {name, arguments}}` with the arguments as text; calls without an id get one.
Json openai_call(const Json& call);
// A list as OpenAI's clients read it: every entry with its bytes and top_logprobs.
Json openai_logprobs(const Json& logprobs);
// What every object and chunk begins with.
Json openai_object(const OpenAiHead& head, std::string_view object);

// The answers to one request, each told by texts and a Done: what is told is about the one that
// on_choice names, at first number 0.
class OpenAiAnswers {
 public:
  void on_choice(int64_t index) { number_ = index; }

 protected:
  int64_t number() const { return number_; }

 private:
  int64_t number_ = 0;
};

class ChatChunks : public OpenAiAnswers {
 public:
  explicit ChatChunks(OpenAiHead head) : head_(std::move(head)) {}
  std::vector<Json> on_text(const protocol::Text& text);
  std::vector<Json> on_done(const protocol::Done& done);
  std::vector<Json> end() const;  // the usage, where it is wanted

 private:
  struct Choice {
    CallPieces calls;
    bool begun = false;  // the role has been told
  };
  Choice& now() {
    return choices_.try_emplace(number(), CallPieces(head_.single_call)).first->second;
  }
  Json chunk(Json delta, const Json& finish_reason, const Json& logprobs);
  Json calls_of(const protocol::Text& text);

  OpenAiHead head_;
  OpenAiUsage usage_;
  std::map<int64_t, Choice> choices_;
};

class ChatObject : public OpenAiAnswers {
 public:
  explicit ChatObject(OpenAiHead head) : head_(std::move(head)) {}
  void on_text(const protocol::Text& text);
  void on_done(const protocol::Done& done);
  Json end() const;

 private:
  struct Choice {
    std::string content, thinking;
    Json calls = Json::array(), logprobs = Json::array();
    Json finish_reason;
  };
  static Json json_of(int64_t index, const Choice& choice);

  OpenAiHead head_;
  OpenAiUsage usage_;
  Losses losses_;
  std::map<int64_t, Choice> choices_;
};

}  // namespace cria::server
