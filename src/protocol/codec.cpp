// codec.cpp - protocol.h as JSON. The reader trusts nothing: a runner may have been taken over by
// the model file that it parsed.
#include "base/base64.h"
#include "base/error.h"
#include "protocol/protocol.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

namespace cria::protocol {
namespace {

std::string text(const Json& json, std::string_view key, std::string fallback = {}) {
  return json_string(json, key).value_or(std::move(fallback));
}

bool flag(const Json& json, std::string_view key, bool fallback) {
  return json_bool(json, key).value_or(fallback);
}

// Every count, size and duration of the protocol is at least 0.
int64_t count(const Json& json, std::string_view key, int64_t fallback = 0) {
  const int64_t value = json_integer(json, key).value_or(fallback);
  if (value < 0) fail(ErrorKind::kInvalidInput, "field \"{}\" is negative: {}", key, value);
  return value;
}

uint64_t id_of(const Json& json) {
  return static_cast<uint64_t>(count(json, "id"));
}

Json any(const Json& json, std::string_view key) {
  const Json* value = json_find(json, key);
  return value == nullptr ? Json() : *value;
}

Json list(const Json& json, std::string_view key) {
  const Json* value = json_find(json, key);
  if (value == nullptr) return Json::array();
  if (!value->is_array())
    fail(ErrorKind::kInvalidInput, "field \"{}\" must be an array, not {}", key,
         value->type_name());
  return *value;
}

Json object(const Json& json, std::string_view key) {
  const Json* value = json_find(json, key);
  if (value == nullptr) return Json::object();
  if (!value->is_object())
    fail(ErrorKind::kInvalidInput, "field \"{}\" must be an object, not {}", key,
         value->type_name());
  return *value;
}

std::vector<std::string> texts(const Json& json, std::string_view key) {
  std::vector<std::string> out;
  for (const Json& item : list(json, key)) {
    if (!item.is_string())
      fail(ErrorKind::kInvalidInput, "field \"{}\" must hold strings only", key);
    out.push_back(item.get<std::string>());
  }
  return out;
}

std::vector<int32_t> tokens(const Json& json, std::string_view key) {
  std::vector<int32_t> out;
  for (const Json& item : list(json, key)) {
    if (!item.is_number_integer() || item.get<int64_t>() < 0 ||
        item.get<int64_t>() > std::numeric_limits<int32_t>::max())
      fail(ErrorKind::kInvalidInput, "field \"{}\" must hold token ids only", key);
    out.push_back(item.get<int32_t>());
  }
  return out;
}

Json encoded(const Load& load) {
  return {{"type", "load"},
          {"model_path", load.model_path},
          {"adapter_paths", load.adapter_paths},
          {"num_ctx", load.num_ctx},
          {"threads", load.threads},
          {"parallel", load.parallel},
          {"kv_type", load.kv_type},
          {"prompt_file", load.prompt_file},
          {"promised_bytes", load.promised_bytes}};
}

Load load_from(const Json& json) {
  return {.model_path = text(json, "model_path"),
          .adapter_paths = texts(json, "adapter_paths"),
          .num_ctx = count(json, "num_ctx"),
          .threads = count(json, "threads"),
          .parallel = count(json, "parallel"),
          .kv_type = text(json, "kv_type", "f16"),
          .prompt_file = text(json, "prompt_file"),
          .promised_bytes = count(json, "promised_bytes")};
}

Json encoded(const ModelText& model) {
  return {{"template_text", model.template_text},
          {"system", model.system},
          {"messages", model.messages}};
}

ModelText model_text_from(const Json& json) {
  return {.template_text = text(json, "template_text"),
          .system = text(json, "system"),
          .messages = list(json, "messages")};
}

Json encoded(const Generate& request) {
  Json images = Json::array();
  for (const std::string& image : request.images) images.push_back(base64_encode(image));
  return {{"type", "generate"},
          {"id", request.id},
          {"request_id", request.request_id},
          {"model", encoded(request.model)},
          {"chat", request.chat},
          {"messages", request.messages},
          {"tools", request.tools},
          {"prompt", request.prompt},
          {"suffix", request.suffix},
          {"system", request.system},
          {"template_text", request.template_text},
          {"has_system", request.has_system},
          {"has_template", request.has_template},
          {"raw", request.raw},
          {"context", request.context},
          {"images", std::move(images)},
          {"think", request.think},
          {"format", request.format},
          {"forced_call", request.forced_call},
          {"call_pieces", request.call_pieces},
          {"options", request.options},
          {"drop_old_thinking", request.drop_old_thinking},
          {"truncate", request.truncate},
          {"shift", request.shift},
          {"logprobs", request.logprobs},
          {"top_logprobs", request.top_logprobs},
          {"debug_render_only", request.debug_render_only}};
}

Generate generate_from(const Json& json) {
  std::vector<std::string> images = texts(json, "images");
  for (std::string& image : images) image = base64_decode(image);
  return {.id = id_of(json),
          .request_id = text(json, "request_id"),
          .model = model_text_from(object(json, "model")),
          .chat = flag(json, "chat", false),
          .messages = list(json, "messages"),
          .tools = list(json, "tools"),
          .prompt = text(json, "prompt"),
          .suffix = text(json, "suffix"),
          .system = text(json, "system"),
          .template_text = text(json, "template_text"),
          .has_system = flag(json, "has_system", false),
          .has_template = flag(json, "has_template", false),
          .raw = flag(json, "raw", false),
          .context = tokens(json, "context"),
          .images = std::move(images),
          .think = any(json, "think"),
          .format = any(json, "format"),
          .forced_call = flag(json, "forced_call", false),
          .call_pieces = flag(json, "call_pieces", false),
          .options = object(json, "options"),
          .drop_old_thinking = flag(json, "drop_old_thinking", false),
          .truncate = flag(json, "truncate", true),
          .shift = flag(json, "shift", true),
          .logprobs = flag(json, "logprobs", false),
          .top_logprobs = count(json, "top_logprobs"),
          .debug_render_only = flag(json, "debug_render_only", false)};
}

Json encoded(const Embed& request) {
  Json json = {{"type", "embed"},
               {"id", request.id},
               {"request_id", request.request_id},
               {"inputs", request.inputs},
               {"truncate", request.truncate},
               {"num_ctx", request.num_ctx},
               {"dimensions", request.dimensions},
               {"normalize", request.normalize}};
  if (request.query) json["query"] = *request.query;
  return json;
}

Embed embed_from(const Json& json) {
  return {.id = id_of(json),
          .request_id = text(json, "request_id"),
          .inputs = texts(json, "inputs"),
          .query = json_string(json, "query"),
          .truncate = flag(json, "truncate", true),
          .num_ctx = count(json, "num_ctx"),
          .dimensions = count(json, "dimensions"),
          .normalize = flag(json, "normalize", true)};
}

Json encoded(const Tokenize& request) {
  return {{"type", "tokenize"},
          {"id", request.id},
          {"request_id", request.request_id},
          {"text", request.text},
          {"add_special", request.add_special},
          {"parse_special", request.parse_special},
          {"pieces", request.pieces}};
}

Tokenize tokenize_from(const Json& json) {
  return {.id = id_of(json),
          .request_id = text(json, "request_id"),
          .text = text(json, "text"),
          .add_special = flag(json, "add_special", false),
          .parse_special = flag(json, "parse_special", true),
          .pieces = flag(json, "pieces", false)};
}

Json encoded(const Detokenize& request) {
  return {{"type", "detokenize"},
          {"id", request.id},
          {"request_id", request.request_id},
          {"tokens", request.tokens}};
}

Detokenize detokenize_from(const Json& json) {
  return {
      .id = id_of(json), .request_id = text(json, "request_id"), .tokens = tokens(json, "tokens")};
}

Json encoded(const Cancel& cancel) {
  return {{"type", "cancel"}, {"id", cancel.id}};
}

Json encoded(const Progress& progress) {
  return {{"type", "progress"}, {"fraction", progress.fraction}};
}

Json encoded(const Loaded& loaded) {
  return {{"type", "loaded"},
          {"context_length", loaded.context_length},
          {"longest_context", loaded.longest_context},
          {"parallel", loaded.parallel},
          {"texts_together", loaded.texts_together},
          {"weight_bytes", loaded.weight_bytes},
          {"scratch_bytes", loaded.scratch_bytes},
          {"kv_bytes", loaded.kv_bytes},
          {"backend", loaded.backend},
          {"threads", loaded.threads},
          {"sandboxed", loaded.sandboxed}};
}

Loaded loaded_from(const Json& json) {
  return {.context_length = count(json, "context_length"),
          .longest_context = count(json, "longest_context"),
          .parallel = count(json, "parallel", 1),
          .texts_together = count(json, "texts_together", 1),
          .weight_bytes = count(json, "weight_bytes"),
          .scratch_bytes = count(json, "scratch_bytes"),
          .kv_bytes = count(json, "kv_bytes"),
          .backend = text(json, "backend"),
          .threads = count(json, "threads"),
          .sandboxed = flag(json, "sandboxed", false)};
}

Json encoded(const Alive& alive) {
  return {{"type", "alive"}, {"steps", alive.steps}, {"texts", alive.texts}};
}

Json encoded(const Begun& begun) {
  return {{"type", "begun"}, {"id", begun.id}};
}

Json encoded(const Usage& usage) {
  return {{"type", "usage"},
          {"pages", usage.pages},
          {"pages_used", usage.pages_used},
          {"pages_cached", usage.pages_cached},
          {"pages_touched", usage.pages_touched},
          {"weight_bytes_unread", usage.weight_bytes_unread}};
}

Usage usage_from(const Json& json) {
  return {.pages = count(json, "pages"),
          .pages_used = count(json, "pages_used"),
          .pages_cached = count(json, "pages_cached"),
          .pages_touched = count(json, "pages_touched"),
          .weight_bytes_unread = count(json, "weight_bytes_unread")};
}

void put(const Truncation& truncated, Json& json) {
  if (!truncated.any()) return;
  json["truncated"] = {{"messages", truncated.messages}, {"tokens", truncated.tokens}};
}

Truncation truncation_from(const Json& json) {
  const Json given = object(json, "truncated");
  return {.messages = count(given, "messages"), .tokens = count(given, "tokens")};
}

// One per token: only what is there is sent.
Json encoded(const Text& event) {
  Json json = {{"type", "text"}, {"id", event.id}};
  if (!event.content.empty()) json["content"] = event.content;
  if (!event.thinking.empty()) json["thinking"] = event.thinking;
  if (!event.tool_calls.empty()) json["tool_calls"] = event.tool_calls;
  if (!event.call_pieces.empty()) json["call_pieces"] = event.call_pieces;
  if (!event.logprobs.empty()) json["logprobs"] = event.logprobs;
  if (event.prompt_tokens != 0) json["prompt_tokens"] = event.prompt_tokens;
  if (event.generated_tokens != 0) json["generated_tokens"] = event.generated_tokens;
  put(event.truncated, json);
  return json;
}

Text text_from(const Json& json) {
  return {.id = id_of(json),
          .content = text(json, "content"),
          .thinking = text(json, "thinking"),
          .tool_calls = list(json, "tool_calls"),
          .call_pieces = list(json, "call_pieces"),
          .logprobs = list(json, "logprobs"),
          .prompt_tokens = count(json, "prompt_tokens"),
          .truncated = truncation_from(json),
          .generated_tokens = count(json, "generated_tokens")};
}

// The values travel as base64 of little-endian floats: exact, and half as long as their digits.
Json encoded(const Vector& vector) {
  static_assert(std::endian::native == std::endian::little);
  std::string bytes(vector.values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), vector.values.data(), bytes.size());
  return {{"type", "vector"},
          {"id", vector.id},
          {"index", vector.index},
          {"values", base64_encode(bytes)},
          {"truncated_tokens", vector.truncated_tokens}};
}

Vector vector_from(const Json& json) {
  const std::string bytes = base64_decode(text(json, "values"));
  if (bytes.size() % sizeof(float) != 0)
    fail(ErrorKind::kInvalidInput, "field \"values\" is {} bytes, not whole floats", bytes.size());
  Vector out = {.id = id_of(json), .index = count(json, "index"), .values = {}};
  out.truncated_tokens = count(json, "truncated_tokens");
  out.values.resize(bytes.size() / sizeof(float));
  std::memcpy(out.values.data(), bytes.data(), bytes.size());
  return out;
}

Json encoded(const Tokens& event) {
  return {{"type", "tokens"}, {"id", event.id}, {"tokens", event.tokens}, {"pieces", event.pieces}};
}

Tokens tokens_from(const Json& json) {
  return {.id = id_of(json), .tokens = tokens(json, "tokens"), .pieces = list(json, "pieces")};
}

Json encoded(const Done& done) {
  Json json = {{"type", "done"},
               {"id", done.id},
               {"reason", done.reason},
               {"stop_string", done.stop_string},
               {"prompt_tokens", done.prompt_tokens},
               {"cached_tokens", done.cached_tokens},
               {"generated_tokens", done.generated_tokens},
               {"guessed_tokens", done.guessed_tokens},
               {"right_guesses", done.right_guesses},
               {"prompt_ns", done.prompt_ns},
               {"generate_ns", done.generate_ns},
               {"shifted_tokens", done.shifted_tokens},
               {"context", done.context},
               {"rendered", done.rendered}};
  put(done.truncated, json);
  return json;
}

Done done_from(const Json& json) {
  return {.id = id_of(json),
          .reason = text(json, "reason"),
          .stop_string = text(json, "stop_string"),
          .prompt_tokens = count(json, "prompt_tokens"),
          .cached_tokens = count(json, "cached_tokens"),
          .generated_tokens = count(json, "generated_tokens"),
          .guessed_tokens = count(json, "guessed_tokens"),
          .right_guesses = count(json, "right_guesses"),
          .prompt_ns = count(json, "prompt_ns"),
          .generate_ns = count(json, "generate_ns"),
          .truncated = truncation_from(json),
          .shifted_tokens = count(json, "shifted_tokens"),
          .context = tokens(json, "context"),
          .rendered = text(json, "rendered")};
}

Json encoded(const Failure& failure) {
  Json json = {{"type", "failure"},
               {"id", failure.id},
               {"kind", kind_name(failure.kind)},
               {"message", failure.message}};
  if (failure.shortage)
    json["shortage"] = {{"needed", std::max<int64_t>(failure.shortage->needed, 0)},
                        {"available", std::max<int64_t>(failure.shortage->available, 0)}};
  return json;
}

Failure failure_from(const Json& json) {
  Failure out{id_of(json), kind_from_name(text(json, "kind")), text(json, "message"), {}};
  if (const Json shortage = object(json, "shortage"); !shortage.empty())
    out.shortage = {.needed = count(shortage, "needed"), .available = count(shortage, "available")};
  return out;
}

Json encoded(const Result& result) {
  return {{"type", "result"}, {"result", result.value}};
}

std::string type_of(const Json& json) {
  if (!json.is_object())
    fail(ErrorKind::kInvalidInput, "a message must be an object, not {}", json.type_name());
  return text(json, "type");
}

}  // namespace

Json to_json(const Request& request) {
  return std::visit([](const auto& message) { return encoded(message); }, request);
}

Json to_json(const Event& event) {
  return std::visit([](const auto& message) { return encoded(message); }, event);
}

Json to_json(const Job& job) {
  return {{"type", "job"}, {"kind", job.kind}, {"arguments", job.arguments}};
}

Request request_from_json(const Json& json) {
  const std::string type = type_of(json);
  if (type == "load") return load_from(json);
  if (type == "generate") return generate_from(json);
  if (type == "embed") return embed_from(json);
  if (type == "tokenize") return tokenize_from(json);
  if (type == "detokenize") return detokenize_from(json);
  if (type == "cancel") return Cancel{.id = id_of(json)};
  fail(ErrorKind::kInvalidInput, "\"{}\" is no type of request", type);
}

Event event_from_json(const Json& json) {
  const std::string type = type_of(json);
  if (type == "text") return text_from(json);
  if (type == "vector") return vector_from(json);
  if (type == "tokens") return tokens_from(json);
  if (type == "done") return done_from(json);
  if (type == "progress") return Progress{json_number(json, "fraction").value_or(0)};
  if (type == "loaded") return loaded_from(json);
  if (type == "usage") return usage_from(json);
  if (type == "alive") return Alive{flag(json, "steps", false), flag(json, "texts", false)};
  if (type == "begun") return Begun{id_of(json)};
  if (type == "failure") return failure_from(json);
  if (type == "result") return Result{any(json, "result")};
  fail(ErrorKind::kInvalidInput, "\"{}\" is no type of event", type);
}

Job job_from_json(const Json& json) {
  if (const std::string type = type_of(json); type != "job")
    fail(ErrorKind::kInvalidInput, "a worker takes a job, not \"{}\"", type);
  return {.kind = text(json, "kind"), .arguments = object(json, "arguments")};
}

}  // namespace cria::protocol
