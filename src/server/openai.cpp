#include "server/openai.h"

#include "server/wire.h"

#include <utility>

namespace cria::server {
namespace {

Json finish_of(const protocol::Done& done, bool called) {
  if (done.reason.empty()) return {};
  return called && done.reason == "stop" ? "tool_calls" : done.reason;
}

}  // namespace

void OpenAiUsage::add(const protocol::Done& done) {
  if (prompt_ == 0) cached_ = done.cached_tokens;
  prompt_ = done.prompt_tokens;
  completion_ += done.generated_tokens;
}

Json OpenAiUsage::json() const {
  return {{"prompt_tokens", prompt_},
          {"completion_tokens", completion_},
          {"total_tokens", prompt_ + completion_},
          {"prompt_tokens_details", {{"cached_tokens", cached_}}}};
}

Json openai_call(const Json& call) {
  const Json* const function = json_find(call, "function");
  const Json empty = Json::object();
  const Json& given = function == nullptr ? empty : *function;
  const Json* const arguments = json_find(given, "arguments");
  return {{"id", json_string(call, "id").value_or(new_id("call_"))},
          {"type", "function"},
          {"function",
           {{"name", json_string(given, "name").value_or("")},
            {"arguments", arguments == nullptr ? "{}" : dump_json(*arguments)}}}};
}

Json openai_logprobs(const Json& logprobs) {
  Json out = Json::array();
  for (Json one : logprobs) {
    if (!one.is_object()) continue;
    if (!one.contains("bytes")) one["bytes"] = nullptr;
    if (!one.contains("top_logprobs")) one["top_logprobs"] = Json::array();
    out.push_back(std::move(one));
  }
  return out;
}

Json openai_object(const OpenAiHead& head, std::string_view object) {
  return {{"id", head.id},
          {"object", object},
          {"created", head.created},
          {"model", head.model},
          {"system_fingerprint", "fp_ollama"}};
}

Json ChatChunks::chunk(Json delta, const Json& finish_reason, const Json& logprobs) {
  Json out = openai_object(head_, "chat.completion.chunk");
  if (!begun_) {
    Json first = {{"role", "assistant"}};
    first.update(delta);
    delta = std::move(first);
    begun_ = true;
  }
  Json choice = {{"index", choice_}, {"delta", std::move(delta)}, {"finish_reason", finish_reason}};
  if (!logprobs.empty()) choice["logprobs"]["content"] = openai_logprobs(logprobs);
  out["choices"].push_back(std::move(choice));
  return out;
}

Json ChatChunks::calls_of(const protocol::Text& text) {
  Json out = Json::array();
  for (const Json& call : text.tool_calls) {
    if (head_.single_call && calls_ > 0) break;
    Json one = {{"index", calls_++}};
    one.update(openai_call(call));
    out.push_back(std::move(one));
  }
  return out;
}

std::vector<Json> ChatChunks::on_text(const protocol::Text& text) {
  std::vector<Json> out;
  Json calls = calls_of(text);
  const bool more = !text.content.empty() || !calls.empty();
  if (!text.thinking.empty()) {
    Json delta = {{"content", ""}, {"reasoning", text.thinking}};
    if (more) delta.erase("content");
    out.push_back(chunk(std::move(delta), {}, more ? Json() : text.logprobs));
    if (!more) return out;
  }
  Json delta = {{"content", text.content}};
  if (!calls.empty()) delta["tool_calls"] = std::move(calls);
  if (more || !text.logprobs.empty()) out.push_back(chunk(std::move(delta), {}, text.logprobs));
  return out;
}

std::vector<Json> ChatChunks::on_done(const protocol::Done& done) {
  std::vector<Json> out;
  if (!begun_) out.push_back(chunk({{"content", ""}}, {}, {}));
  out.push_back(chunk(Json::object(), finish_of(done, calls_ > 0), {}));
  usage_.add(done);
  ++choice_;
  calls_ = 0;
  begun_ = false;
  return out;
}

std::vector<Json> ChatChunks::end() const {
  if (!head_.include_usage) return {};
  Json out = openai_object(head_, "chat.completion.chunk");
  out["choices"] = Json::array();
  out["usage"] = usage_.json();
  return {out};
}

void ChatObject::on_text(const protocol::Text& text) {
  content_ += text.content;
  thinking_ += text.thinking;
  for (const Json& call : text.tool_calls) {
    if (head_.single_call && !calls_.empty()) break;
    Json one = openai_call(call);
    one["index"] = calls_.size();
    calls_.push_back(std::move(one));
  }
  for (const Json& one : text.logprobs) logprobs_.push_back(one);
}

void ChatObject::on_done(const protocol::Done& done) {
  Json message = {{"role", "assistant"}, {"content", std::exchange(content_, {})}};
  if (!thinking_.empty()) message["reasoning"] = std::exchange(thinking_, {});
  const bool called = !calls_.empty();
  if (called) message["tool_calls"] = std::exchange(calls_, Json::array());
  Json choice = {{"index", choices_.size()},
                 {"message", std::move(message)},
                 {"finish_reason", finish_of(done, called)}};
  if (!logprobs_.empty())
    choice["logprobs"]["content"] = openai_logprobs(std::exchange(logprobs_, Json::array()));
  choices_.push_back(std::move(choice));
  usage_.add(done);
}

Json ChatObject::end() const {
  Json out = openai_object(head_, "chat.completion");
  out["choices"] = choices_;
  out["usage"] = usage_.json();
  return out;
}

}  // namespace cria::server
