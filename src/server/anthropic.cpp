#include "server/anthropic.h"

#include "server/wire.h"

#include <algorithm>
#include <utility>

namespace cria::server {
namespace {

Json message_of(const AnthropicHead& head, Json content) {
  return {{"id", head.id},           {"type", "message"},  {"role", "assistant"},
          {"model", head.model},     {"content", content}, {"stop_reason", nullptr},
          {"stop_sequence", nullptr}};
}

// {stop_reason, stop_sequence}. A stop string of the model's own is the end of its turn.
Json ending_of(const AnthropicHead& head, const protocol::Done& done, bool called) {
  const bool stopped =
      !done.stop_string.empty() &&
      std::ranges::find(head.stop_sequences, done.stop_string) != head.stop_sequences.end();
  Json out = {{"stop_reason", "end_turn"}, {"stop_sequence", nullptr}};
  if (called)
    out["stop_reason"] = "tool_use";
  else if (done.reason == "length")
    out["stop_reason"] = "max_tokens";
  else if (stopped)
    out = {{"stop_reason", "stop_sequence"}, {"stop_sequence", done.stop_string}};
  return out;
}

Json usage_of(int64_t input, int64_t output) {
  return {{"input_tokens", input}, {"output_tokens", output}};
}

// Thinking is not signed, but its readers want to see the field.
Json block_of(std::string_view type, const std::string& text) {
  Json out = {{"type", type}};
  out[std::string(type)] = text;
  if (type == "thinking") out["signature"] = "";
  return out;
}

Json block_of_call(const Json& call) {
  const Json* const function = json_find(call, "function");
  const Json none = Json::object();
  const Json& given = function == nullptr ? none : *function;
  const Json* const arguments = json_find(given, "arguments");
  return {{"type", "tool_use"},
          {"id", json_string(call, "id").value_or(new_id("toolu_"))},
          {"name", json_string(given, "name").value_or("")},
          {"input", arguments == nullptr ? none : *arguments}};
}

}  // namespace

void MessageEvents::begin(int64_t prompt_tokens, const Losses& losses, std::vector<Json>& out) {
  if (std::exchange(begun_, true)) return;
  Json message = message_of(head_, Json::array());
  message["usage"] = usage_of(prompt_tokens, 0);
  losses.tell_as_ours(message);
  out.push_back({{"type", "message_start"}, {"message", std::move(message)}});
}

void MessageEvents::close(std::vector<Json>& out) {
  if (std::exchange(block_, Block::kNone) == Block::kNone) return;
  out.push_back({{"type", "content_block_stop"}, {"index", index_++}});
}

void MessageEvents::open(Block kind, Json block, std::vector<Json>& out) {
  close(out);
  block_ = kind;
  out.push_back(
      {{"type", "content_block_start"}, {"index", index_}, {"content_block", std::move(block)}});
}

void MessageEvents::delta(Json delta, std::vector<Json>& out) const {
  out.push_back({{"type", "content_block_delta"}, {"index", index_}, {"delta", std::move(delta)}});
}

void MessageEvents::add_text(Block kind, const char* name, const std::string& piece,
                             std::vector<Json>& out) {
  if (piece.empty()) return;
  if (block_ != kind) open(kind, block_of(name, ""), out);
  delta({{"type", fmt::format("{}_delta", name)}, {name, piece}}, out);
}

void MessageEvents::add_call(const CallPiece& piece, std::vector<Json>& out) {
  if (piece.begins)
    open(Block::kCall,
         {{"type", "tool_use"}, {"id", piece.id}, {"name", piece.name}, {"input", Json::object()}},
         out);
  if (block_ != Block::kCall) return;  // text has ended it
  delta({{"type", "input_json_delta"}, {"partial_json", piece.arguments}}, out);
  if (piece.last) close(out);
}

std::vector<Json> MessageEvents::on_text(const protocol::Text& text) {
  std::vector<Json> out;
  begin(text.prompt_tokens, Losses(text.truncated), out);
  add_text(Block::kThinking, "thinking", text.thinking, out);
  add_text(Block::kText, "text", text.content, out);
  for (const CallPiece& piece : calls_.add(text)) add_call(piece, out);
  return out;
}

std::vector<Json> MessageEvents::on_done(const protocol::Done& done) {
  std::vector<Json> out;
  begin(done.prompt_tokens, Losses(done.truncated), out);
  close(out);
  out.push_back({{"type", "message_delta"},
                 {"delta", ending_of(head_, done, calls_.called())},
                 {"usage", usage_of(done.prompt_tokens, done.generated_tokens)}});
  Losses(done).tell_as_ours(out.back());
  out.push_back({{"type", "message_stop"}});
  return out;
}

void MessageObject::add(const char* type, const std::string& text) {
  if (text.empty()) return;
  if (content_.empty() || content_.back()["type"] != type) content_.push_back(block_of(type, ""));
  content_.back()[type].get_ref<std::string&>() += text;
}

void MessageObject::on_text(const protocol::Text& text) {
  add("thinking", text.thinking);
  add("text", text.content);
  for (const Json& call : text.tool_calls) {
    if (head_.single_call && called_) break;
    called_ = true;
    content_.push_back(block_of_call(call));
  }
}

Json MessageObject::on_done(const protocol::Done& done) {
  Json out = message_of(head_, std::move(content_));
  out.update(ending_of(head_, done, called_));
  out["usage"] = usage_of(done.prompt_tokens, done.generated_tokens);
  Losses(done).tell_as_ours(out);
  return out;
}

}  // namespace cria::server
