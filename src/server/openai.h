// openai.h - OpenAI's chat and text completions: runner events as chunks of a stream or as one
// object (spec api-and-cli.md 2.2, 2.3). Pure but for ids and the time.
#pragma once

#include "base/json.h"
#include "protocol/protocol.h"

#include <cstdint>
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

// The answers to one request, one after the other, each told by texts and a Done.
class ChatChunks {
 public:
  explicit ChatChunks(OpenAiHead head) : head_(std::move(head)) {}
  std::vector<Json> on_text(const protocol::Text& text);
  std::vector<Json> on_done(const protocol::Done& done);  // the next answer may follow
  std::vector<Json> end() const;                          // the usage, where it is wanted

 private:
  Json chunk(Json delta, const Json& finish_reason, const Json& logprobs);
  Json calls_of(const protocol::Text& text);

  OpenAiHead head_;
  OpenAiUsage usage_;
  int64_t choice_ = 0, calls_ = 0;
  bool begun_ = false;  // the role has been told
};

class ChatObject {
 public:
  explicit ChatObject(OpenAiHead head) : head_(std::move(head)) {}
  void on_text(const protocol::Text& text);
  void on_done(const protocol::Done& done);
  Json end() const;

 private:
  OpenAiHead head_;
  OpenAiUsage usage_;
  Json choices_ = Json::array();
  std::string content_, thinking_;
  Json calls_ = Json::array(), logprobs_ = Json::array();
};

}  // namespace cria::server
