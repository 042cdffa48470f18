#include "server/openai.h"

#include "server/wire.h"

#include <algorithm>
#include <utility>

namespace cria::server {
namespace {

Json finish_of(const protocol::Done& done, bool called) {
  if (done.reason.empty()) return {};
  return called && done.reason == "stop" ? "tool_calls" : done.reason;
}

}  // namespace

void OpenAiUsage::add(const protocol::Done& done) {
  // The first answer, whichever ends first, found the least of the prompt in the cache.
  cached_ = prompt_ == 0 ? done.cached_tokens : std::min(cached_, done.cached_tokens);
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
  if (!std::exchange(now().begun, true)) {
    Json first = {{"role", "assistant"}};
    first.update(delta);
    delta = std::move(first);
  }
  Json choice = {
      {"index", number()}, {"delta", std::move(delta)}, {"finish_reason", finish_reason}};
  if (!logprobs.empty()) choice["logprobs"]["content"] = openai_logprobs(logprobs);
  out["choices"].push_back(std::move(choice));
  return out;
}

Json ChatChunks::calls_of(const protocol::Text& text) {
  Json out = Json::array();
  for (const CallPiece& piece : now().calls.add(text)) {
    Json one = {{"index", piece.number}};
    if (piece.begins) {
      one["id"] = piece.id;
      one["type"] = "function";
      one["function"]["name"] = piece.name;
    }
    one["function"]["arguments"] = piece.arguments;
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
  const Choice& choice = now();
  if (!choice.begun) out.push_back(chunk({{"content", ""}}, {}, {}));
  out.push_back(chunk(Json::object(), finish_of(done, choice.calls.called()), {}));
  Losses(done).tell_as_ours(out.back());
  usage_.add(done);
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
  Choice& choice = choices_[number()];
  choice.content += text.content;
  choice.thinking += text.thinking;
  for (const Json& call : text.tool_calls) {
    if (head_.single_call && !choice.calls.empty()) break;
    Json one = openai_call(call);
    one["index"] = choice.calls.size();
    choice.calls.push_back(std::move(one));
  }
  for (const Json& one : text.logprobs) choice.logprobs.push_back(one);
}

void ChatObject::on_done(const protocol::Done& done) {
  Choice& choice = choices_[number()];
  choice.finish_reason = finish_of(done, !choice.calls.empty());
  usage_.add(done);
  losses_.add(done);
}

Json ChatObject::json_of(int64_t index, const Choice& choice) {
  Json message = {{"role", "assistant"}, {"content", choice.content}};
  if (!choice.thinking.empty()) message["reasoning"] = choice.thinking;
  if (!choice.calls.empty()) message["tool_calls"] = choice.calls;
  Json out = {
      {"index", index}, {"message", std::move(message)}, {"finish_reason", choice.finish_reason}};
  if (!choice.logprobs.empty()) out["logprobs"]["content"] = openai_logprobs(choice.logprobs);
  return out;
}

Json ChatObject::end() const {
  Json out = openai_object(head_, "chat.completion");
  Json& list = out["choices"] = Json::array();
  for (const auto& [index, choice] : choices_) list.push_back(json_of(index, choice));
  out["usage"] = usage_.json();
  losses_.tell_as_ours(out);
  return out;
}

}  // namespace cria::server
