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
    : head_(std::move(head)), id_(new_id("resp_")), created_(unix_time()) {}

Json ResponseEvents::object() const {
  const auto echo = [&](const char* key) { return head_.echo.value(key, Json()); };
  return {{"id", id_},
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

void ResponseEvents::open(Item item, std::vector<Json>& out) {
  if (item_ == item) return;
  close(out);
  item_ = item;
  item_id_ = new_id(item == Item::kReasoning ? "rs_" : "msg_");
  text_.clear();
  const Json added = item == Item::kReasoning
                         ? reasoning_item(item_id_, "")
                         : message_item(item_id_, "in_progress", Json::array());
  emit(out, "response.output_item.added", {{"output_index", output_.size()}, {"item", added}});
  if (item == Item::kMessage)
    emit_here(out, "response.content_part.added", {{"content_index", 0}, {"part", text_part("")}});
}

void ResponseEvents::close(std::vector<Json>& out, const char* status) {
  const Item item = std::exchange(item_, Item::kNone);
  if (item == Item::kNone) return;
  Json done = reasoning_item(item_id_, text_);
  if (item == Item::kReasoning) {
    emit_here(out, "response.reasoning_summary_text.done", {{"summary_index", 0}, {"text", text_}});
  } else {
    emit_here(out, "response.output_text.done",
              {{"content_index", 0}, {"text", text_}, {"logprobs", Json::array()}});
    emit_here(out, "response.content_part.done",
              {{"content_index", 0}, {"part", text_part(text_)}});
    done = message_item(item_id_, status, Json::array({text_part(text_)}));
  }
  emit(out, "response.output_item.done", {{"output_index", output_.size()}, {"item", done}});
  output_.push_back(std::move(done));
}

void ResponseEvents::add_reasoning(const std::string& piece, std::vector<Json>& out) {
  if (piece.empty()) return;
  open(Item::kReasoning, out);
  text_ += piece;
  emit_here(out, "response.reasoning_summary_text.delta", {{"summary_index", 0}, {"delta", piece}});
}

void ResponseEvents::add_text(const std::string& piece, std::vector<Json>& out) {
  if (piece.empty()) return;
  open(Item::kMessage, out);
  text_ += piece;
  emit_here(out, "response.output_text.delta",
            {{"content_index", 0}, {"delta", piece}, {"logprobs", Json::array()}});
}

void ResponseEvents::add_call(const Json& call, std::vector<Json>& out) {
  if (head_.single_call && called_) return;
  called_ = true;
  close(out);
  const Json known = openai_call(call);
  const Json& arguments = known["function"]["arguments"];
  item_id_ = new_id("fc_");
  Json item = {
      {"id", item_id_},         {"type", "function_call"},           {"status", "in_progress"},
      {"call_id", known["id"]}, {"name", known["function"]["name"]}, {"arguments", ""}};
  emit(out, "response.output_item.added", {{"output_index", output_.size()}, {"item", item}});
  emit_here(out, "response.function_call_arguments.delta", {{"delta", arguments}});
  emit_here(out, "response.function_call_arguments.done",
            {{"name", item["name"]}, {"arguments", arguments}});
  item["status"] = "completed";
  item["arguments"] = arguments;
  emit(out, "response.output_item.done", {{"output_index", output_.size()}, {"item", item}});
  output_.push_back(std::move(item));
}

std::vector<Json> ResponseEvents::on_text(const protocol::Text& text) {
  std::vector<Json> out;
  begin(out);
  add_reasoning(text.thinking, out);
  add_text(text.content, out);
  for (const Json& call : text.tool_calls) add_call(call, out);
  return out;
}

std::vector<Json> ResponseEvents::on_done(const protocol::Done& done) {
  std::vector<Json> out;
  usage_ = {{"input_tokens", done.prompt_tokens},
            {"input_tokens_details", {{"cached_tokens", done.cached_tokens}}},
            {"output_tokens", done.generated_tokens},
            {"output_tokens_details", {{"reasoning_tokens", 0}}},
            {"total_tokens", done.prompt_tokens + done.generated_tokens}};
  const bool cut = done.reason == "length";
  begin(out);  // before the object says that it is incomplete
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
