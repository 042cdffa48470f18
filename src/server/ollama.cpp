#include "server/ollama.h"

#include "server/truncation.h"

namespace cria::server {
namespace {

void put_metrics(Json& json, const protocol::Done& done, const Timing& timing) {
  const auto put = [&](const char* key, int64_t value) {
    if (value != 0) json[key] = value;
  };
  put("total_duration", timing.total.count());
  put("load_duration", timing.load.count());
  put("prompt_eval_count", done.prompt_tokens);
  put("prompt_eval_duration", done.prompt_ns);
  put("eval_count", done.generated_tokens);
  put("eval_duration", done.generate_ns);
}

Json head(const Answer& answer) {
  return {{"model", answer.model}, {"created_at", api::format_utc(answer.created_at)}};
}

// Both shapes in the order in which existing servers write their fields.
Json write(const Answer& answer, const protocol::Done* done, const Timing& timing,
           const Json& debug) {
  Json json = head(answer);
  if (answer.shape == Shape::kChat) {
    Json& message = json["message"];
    message = {{"role", "assistant"}, {"content", answer.content}};
    if (!answer.thinking.empty()) message["thinking"] = answer.thinking;
    if (!answer.tool_calls.empty()) message["tool_calls"] = answer.tool_calls;
  } else {
    json["response"] = answer.content;
    if (!answer.thinking.empty()) json["thinking"] = answer.thinking;
  }
  json["done"] = answer.done;
  if (!answer.done_reason.empty()) json["done_reason"] = answer.done_reason;
  if (answer.shape == Shape::kGenerate) {
    if (done != nullptr && !done->context.empty()) json["context"] = done->context;
    if (done != nullptr) put_metrics(json, *done, timing);
    if (!answer.tool_calls.empty()) json["tool_calls"] = answer.tool_calls;
  }
  if (!debug.is_null()) json["_debug_info"] = debug;
  if (!answer.logprobs.empty()) json["logprobs"] = answer.logprobs;
  if (answer.shape == Shape::kChat && done != nullptr) put_metrics(json, *done, timing);
  if (done != nullptr) Losses(*done).tell(json);
  return json;
}

}  // namespace

void Answer::append(const protocol::Text& text) {
  content += text.content;
  thinking += text.thinking;
  for (const Json& call : text.tool_calls) tool_calls.push_back(call);
  for (const Json& one : text.logprobs) logprobs.push_back(one);
}

Json render(const Answer& answer) {
  return write(answer, nullptr, {}, {});
}

Json render(const Answer& answer, const protocol::Done& done, const Timing& timing) {
  return write(answer, &done, timing, {});
}

Json render_debug(const Answer& answer, const protocol::Done& done, size_t image_count) {
  Json info = {{"rendered_template", done.rendered}};
  if (image_count > 0) info["image_count"] = image_count;
  return write(answer, nullptr, {}, info);
}

}  // namespace cria::server
