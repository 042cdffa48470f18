#include "server/openai_responses.h"

#include "server/openai.h"
#include "server/wire.h"

#include <fmt/core.h>

#include <utility>

namespace cria::server {
namespace {

Json text_part(const std::string& text) {
  return {{"type", "output_text"},
          {"text", text},
          {"annotations", Json::array()},
          {"logprobs", Json::array()}};
}

Json reasoning_item(const std::string& id, const std::string& text) {
  Json summary = Json::array();
  if (!text.empty()) summary.push_back({{"type", "summary_text"}, {"text", text}});
  return {{"id", id},
          {"type", "reasoning"},
          {"summary", std::move(summary)},
          {"encrypted_content", text}};  // clients that keep no state send it back
}

Json message_item(const std::string& id, const char* status, Json content) {
  return {{"id", id},
          {"type", "message"},
          {"status", status},
          {"role", "assistant"},
          {"content", std::move(content)}};
}

}  // namespace

ResponseEvents::ResponseEvents(ResponseHead head)
    : head_(std::move(head)),
      id_(new_id("resp_")),
      created_(unix_time()),
      calls_(head_.single_call) {}

Json ResponseEvents::object() const {
  const auto echo = [&](const char* key) { return head_.echo.value(key, Json()); };
  Json out = {{"id", id_},
              {"object", "response"},
              {"created_at", created_},
              {"completed_at", completed_at_},
              {"status", status_},
              {"incomplete_details", incomplete_},
              {"model", head_.model},
              {"previous_response_id", nullptr},
              {"instructions", echo("instructions")},
              {"output", output_},
              {"error", error_},
              {"tools", echo("tools")},
              {"tool_choice", echo("tool_choice")},
              {"truncation", echo("truncation")},
              {"parallel_tool_calls", echo("parallel_tool_calls")},
              {"text", echo("text")},
              {"top_p", echo("top_p")},
              {"presence_penalty", 0},
              {"frequency_penalty", 0},
              {"top_logprobs", 0},
              {"temperature", echo("temperature")},
              {"reasoning", echo("reasoning")},
              {"usage", usage_},
              {"max_output_tokens", echo("max_output_tokens")},
              {"max_tool_calls", nullptr},
              {"store", false},
              {"background", false},
              {"service_tier", "default"},
              {"metadata", echo("metadata")},
              {"safety_identifier", nullptr},
              {"prompt_cache_key", nullptr}};
  losses_.tell_as_ours(out);
  return out;
}

void ResponseEvents::emit(std::vector<Json>& out, std::string_view type, const Json& rest) {
  Json event = {{"type", type}, {"sequence_number", sequence_++}};
  event.update(rest);
  out.push_back(std::move(event));
}

void ResponseEvents::emit_here(std::vector<Json>& out, std::string_view type, const Json& rest) {
  Json event = {{"item_id", item_id_}, {"output_index", output_.size()}};
  event.update(rest);
  emit(out, type, event);
}

void ResponseEvents::begin(std::vector<Json>& out) {
  if (std::exchange(begun_, true)) return;
  emit(out, "response.created", {{"response", object()}});
  emit(out, "response.in_progress", {{"response", object()}});
}

void ResponseEvents::end(std::vector<Json>& out, std::string_view status) {
  begin(out);
  close(out, status == "completed" ? "completed" : "incomplete");
  status_ = status;
  completed_at_ = unix_time();
  emit(out, fmt::format("response.{}", status), {{"response", object()}});
}

Json ResponseEvents::item(const char* status) const {
  switch (item_) {
    case Item::kReasoning:
      return reasoning_item(item_id_, text_);
    case Item::kMessage:
      return message_item(item_id_, status,
                          text_.empty() ? Json::array() : Json::array({text_part(text_)}));
    case Item::kCall:
      return {{"id", item_id_},      {"type", "function_call"}, {"status", status},
              {"call_id", call_id_}, {"name", name_},           {"arguments", text_}};
    case Item::kNone:
      break;
  }
  return {};
}

void ResponseEvents::open(Item kind, std::string_view prefix, std::vector<Json>& out) {
  close(out);
  item_ = kind;
  item_id_ = new_id(prefix);
  text_.clear();
  emit(out, "response.output_item.added",
       {{"output_index", output_.size()}, {"item", item("in_progress")}});
  if (kind == Item::kMessage)
    emit_here(out, "response.content_part.added", {{"content_index", 0}, {"part", text_part("")}});
}

void ResponseEvents::close(std::vector<Json>& out, const char* status) {
  if (item_ == Item::kNone) return;
  Json done = item(item_ == Item::kCall && !call_whole_ ? "incomplete" : status);
  if (item_ == Item::kReasoning) {
    emit_here(out, "response.reasoning_summary_text.done", {{"summary_index", 0}, {"text", text_}});
  } else if (item_ == Item::kCall) {
    emit_here(out, "response.function_call_arguments.done",
              {{"name", name_}, {"arguments", text_}});
  } else {
    emit_here(out, "response.output_text.done",
              {{"content_index", 0}, {"text", text_}, {"logprobs", Json::array()}});
    emit_here(out, "response.content_part.done",
              {{"content_index", 0}, {"part", text_part(text_)}});
  }
  item_ = Item::kNone;
  emit(out, "response.output_item.done", {{"output_index", output_.size()}, {"item", done}});
  output_.push_back(std::move(done));
}

void ResponseEvents::add_reasoning(const std::string& piece, std::vector<Json>& out) {
  if (piece.empty()) return;
  if (item_ != Item::kReasoning) open(Item::kReasoning, "rs_", out);
  text_ += piece;
  emit_here(out, "response.reasoning_summary_text.delta", {{"summary_index", 0}, {"delta", piece}});
}

void ResponseEvents::add_text(const std::string& piece, std::vector<Json>& out) {
  if (piece.empty()) return;
  if (item_ != Item::kMessage) open(Item::kMessage, "msg_", out);
  text_ += piece;
  emit_here(out, "response.output_text.delta",
            {{"content_index", 0}, {"delta", piece}, {"logprobs", Json::array()}});
}

void ResponseEvents::add_call(const CallPiece& piece, std::vector<Json>& out) {
  if (piece.begins) {
    close(out);
    call_id_ = piece.id;
    name_ = piece.name;
    call_whole_ = false;
    open(Item::kCall, "fc_", out);
  }
  if (item_ != Item::kCall) return;  // text has ended it
  text_ += piece.arguments;
  emit_here(out, "response.function_call_arguments.delta", {{"delta", piece.arguments}});
  call_whole_ = piece.last;
  if (call_whole_) close(out);
}

std::vector<Json> ResponseEvents::on_text(const protocol::Text& text) {
  std::vector<Json> out;
  if (!begun_) losses_ = Losses(text.truncated);
  begin(out);
  add_reasoning(text.thinking, out);
  add_text(text.content, out);
  for (const CallPiece& piece : calls_.add(text)) add_call(piece, out);
  return out;
}

std::vector<Json> ResponseEvents::on_done(const protocol::Done& done) {
  std::vector<Json> out;
  usage_ = {{"input_tokens", done.prompt_tokens},
            {"input_tokens_details",
             {{"cached_tokens", done.cached_tokens},
              {"cache_write_tokens", done.prompt_tokens - done.cached_tokens}}},
            {"output_tokens", done.generated_tokens},
            {"output_tokens_details", {{"reasoning_tokens", 0}}},
            {"total_tokens", done.prompt_tokens + done.generated_tokens}};
  const bool cut = done.reason == "length";
  if (!begun_) losses_ = Losses(done.truncated);
  begin(out);  // before the object says that it is incomplete
  losses_ = Losses(done);
  if (cut) incomplete_ = {{"reason", "max_output_tokens"}};
  end(out, cut ? "incomplete" : "completed");
  return out;
}

std::vector<Json> ResponseEvents::on_failure(std::string_view message) {
  std::vector<Json> out;
  begin(out);
  error_ = {{"code", "server_error"}, {"message", message}};
  end(out, "failed");
  return out;
}

}  // namespace cria::server
