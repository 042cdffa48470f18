#include "server/openai_completion.h"

#include <algorithm>
#include <utility>

namespace cria::server {
namespace {

constexpr std::string_view kObject = "text_completion";

int64_t characters(std::string_view text) {
  return std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; });
}

Json reason_of(const protocol::Done& done) {
  return done.reason.empty() ? Json() : Json(done.reason);
}

Json choice_of(std::string text, int64_t index, const Json& finish_reason, const Json& logprobs) {
  Json out = {{"text", std::move(text)}, {"index", index}};
  if (!logprobs.is_null()) out["logprobs"] = logprobs;
  out["finish_reason"] = finish_reason;
  return out;
}

}  // namespace

CompletionLogprobs::CompletionLogprobs(const std::string& echo) : offset_(characters(echo)) {}

Json CompletionLogprobs::add(const Json& logprobs) {
  if (logprobs.empty()) return {};
  Json out = {{"tokens", Json::array()},
              {"token_logprobs", Json::array()},
              {"top_logprobs", Json::array()},
              {"text_offset", Json::array()}};
  for (const Json& one : logprobs) {
    const std::string token = json_string(one, "token").value_or("");
    out["tokens"].push_back(token);
    out["token_logprobs"].push_back(json_number(one, "logprob").value_or(0));
    out["text_offset"].push_back(offset_);
    offset_ += characters(token);
    Json top = Json::object();
    if (const Json* const list = json_find(one, "top_logprobs"))
      for (const Json& other : *list)
        top[json_string(other, "token").value_or("")] = json_number(other, "logprob").value_or(0);
    out["top_logprobs"].push_back(std::move(top));
  }
  return out;
}

Json CompletionChunks::chunk(const std::string& text, const Json& finish_reason,
                             const Json& logprobs) {
  Json out = openai_object(head_, kObject);
  const bool begun = std::exchange(now().begun, true);
  out["choices"].push_back(
      choice_of(begun ? text : head_.echo + text, number(), finish_reason, logprobs));
  return out;
}

std::vector<Json> CompletionChunks::on_text(const protocol::Text& text) {
  const Json logprobs = now().logprobs.add(text.logprobs);
  if (text.content.empty() && logprobs.is_null()) return {};
  return {chunk(text.content, {}, logprobs)};
}

std::vector<Json> CompletionChunks::on_done(const protocol::Done& done) {
  usage_.add(done);
  Json last = chunk("", reason_of(done), {});
  Losses(done).tell_as_ours(last);
  return {std::move(last)};
}

std::vector<Json> CompletionChunks::end() const {
  if (!head_.include_usage) return {};
  Json out = openai_object(head_, kObject);
  out["choices"] = Json::array();
  out["usage"] = usage_.json();
  return {out};
}

void CompletionObject::on_text(const protocol::Text& text) {
  Choice& choice = choices_[number()];
  choice.text += text.content;
  for (const Json& one : text.logprobs) choice.logprobs.push_back(one);
}

void CompletionObject::on_done(const protocol::Done& done) {
  choices_[number()].finish_reason = reason_of(done);
  usage_.add(done);
  losses_.add(done);
}

Json CompletionObject::end() const {
  Json out = openai_object(head_, kObject);
  Json& list = out["choices"] = Json::array();
  for (const auto& [index, choice] : choices_)
    list.push_back(choice_of(head_.echo + choice.text, index, choice.finish_reason,
                             CompletionLogprobs(head_.echo).add(choice.logprobs)));
  out["usage"] = usage_.json();
  losses_.tell_as_ours(out);
  return out;
}

}  // namespace cria::server
