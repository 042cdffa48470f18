// inference.cpp - /api/generate and /api/chat: from a checked request to a runner and back.
#include "server/inference.h"
#include "api/fields.h"
#include "base/settings.h"
#include "server/ollama.h"
#include "server/service.h"

#include <algorithm>

namespace cria::server {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int64_t kDefaultContext = 4096;
constexpr int64_t kMaxContext = int64_t{1} << 30;
constexpr int64_t kMaxThreads = 4096;
constexpr int64_t kMaxBatch = int64_t{1} << 20;

// One request on its way, for both endpoints.
struct Call {
  Service& service;
  http::Exchange& exchange;
  const api::Inference& request;
  Shape shape;
  bool empty;  // nothing to generate: load or unload only
  std::vector<std::string> needs;
  Clock::time_point start = Clock::now();

  Answer answer() const {
    return {.shape = shape, .model = request.model, .created_at = std::chrono::system_clock::now()};
  }
};

// A load-time number within what makes sense; 0 when it is absent or not positive.
int64_t positive(const Json& options, std::string_view name, int64_t limit) {
  return std::clamp<int64_t>(json_integer(options, name).value_or(0), 0, limit);
}

}  // namespace

Json merged_options(const Model& model, const Json& given) {
  Json options = api::check_options(model.parameters);
  for (const auto& [name, value] : given.items()) options[name] = value;
  return options;
}

ModelUse use_of(const Model& model, const Json& options) {
  ModelUse use = {.name = model.short_name, .digest = model.digest, .details = model.details()};
  protocol::Load& load = use.load;
  load.model_path = model.model_path;
  load.adapter_paths = model.adapter_paths;
  load.template_text = model.template_text;
  load.system = model.system;
  load.messages = model.messages;
  load.num_ctx = positive(options, "num_ctx", kMaxContext);
  if (load.num_ctx == 0) load.num_ctx = std::max(0LL, setting_integer("OLLAMA_CONTEXT_LENGTH"));
  if (load.num_ctx == 0) load.num_ctx = kDefaultContext;
  load.num_ctx = std::max<int64_t>(load.num_ctx, 4);
  if (const int64_t batch = positive(options, "num_batch", kMaxBatch); batch > 0)
    load.num_batch = batch;
  load.threads = positive(options, "num_thread", kMaxThreads);
  if (load.threads == 0) load.threads = std::max(0LL, setting_integer("OLLAMA_NUM_THREADS"));
  load.parallel = std::max(1LL, setting_integer("OLLAMA_NUM_PARALLEL"));
  load.kv_type = setting("OLLAMA_KV_CACHE_TYPE");
  return use;
}

// The status that clients know for what a runner reports.
Error as_client_error(const Error& error) {
  const ErrorKind kind = error.kind();
  if (kind == ErrorKind::kTooLarge || kind == ErrorKind::kUnsupported)
    return {ErrorKind::kInvalidInput, error.what()};
  if (kind == ErrorKind::kOutOfMemory) return {ErrorKind::kInternal, error.what()};
  return error;
}

namespace {

void check_capabilities(const Call& call, const Model& model, const Facts& facts) {
  if (!facts.can("completion"))
    fail(ErrorKind::kInvalidInput, "\"{}\" does not support {}", call.request.model,
         call.shape == Shape::kChat ? "chat" : "generate");
  for (const std::string& capability : call.needs)
    if (!facts.can(capability))
      fail(ErrorKind::kInvalidInput, "{} does not support {}", model.full_name, capability);
}

Json effective_think(const Call& call, const Facts& facts) {
  const Json& asked = call.request.think;
  if (facts.can("thinking")) return asked.is_null() ? Json(true) : asked;
  if (asked.is_null() || asked == false) return {};
  fail(ErrorKind::kInvalidInput, "\"{}\" does not support thinking", call.request.model);
}

class Responder {
 public:
  Responder(const Call& call, api::Nanoseconds load_time)
      : call_(call), load_time_(load_time), lines_(call.exchange), whole_(call.answer()) {}

  void on_text(const protocol::Text& text) {
    if (!call_.request.stream) return whole_.append(text);
    Answer part = call_.answer();
    part.append(text);
    lines_.send(render(part));
  }

  void on_done(const protocol::Done& done, size_t image_count) {
    Answer last = call_.request.stream ? call_.answer() : std::move(whole_);
    last.created_at = std::chrono::system_clock::now();
    if (call_.request.debug_render_only)
      return answer_json(call_.exchange, render_debug(last, done, image_count));
    last.done = true;
    last.done_reason = done.reason;
    const Timing timing = {.total = Clock::now() - call_.start, .load = load_time_};
    if (call_.request.stream)
      lines_.send(render(last, done, timing));
    else
      answer_json(call_.exchange, render(last, done, timing));
  }

 private:
  const Call& call_;
  const api::Nanoseconds load_time_;
  LineStream lines_;
  Answer whole_;
};

void answer_empty(const Call& call, const char* reason) {
  Answer answer = call.answer();
  answer.done = true;
  answer.done_reason = reason;
  answer_json(call.exchange, render(answer));
}

void run(const Call& call, protocol::Generate request) {
  const std::stop_token gone = call.exchange.gone();
  Models& models = call.service.models;
  const Model model = models.find(call.request.model);
  if (call.empty && call.request.keep_alive && call.request.keep_alive->count() == 0) {
    call.service.scheduler.unload(model.model_path);
    return answer_empty(call, "unload");
  }
  const Facts facts = models.facts(model, gone);
  check_capabilities(call, model, facts);
  request.think = effective_think(call, facts);
  // These were trained without the thinking of earlier answers.
  request.drop_old_thinking =
      facts.family == "qwen3" || model.short_name.starts_with("deepseek-r1");
  request.options = merged_options(model, call.request.options);
  const size_t image_count = request.images.size();
  const Lease lease =
      call.service.scheduler.acquire(use_of(model, request.options), call.request.keep_alive, gone);
  if (call.empty) return answer_empty(call, "load");
  Responder responder(call, Clock::now() - call.start);
  const auto generation = lease.runner().submit(std::move(request));
  for (;;) {
    const protocol::Event event = generation->next(gone);
    if (const auto* text = std::get_if<protocol::Text>(&event)) responder.on_text(*text);
    if (const auto* done = std::get_if<protocol::Done>(&event))
      return responder.on_done(*done, image_count);
  }
}

void run_with_client_errors(const Call& call, protocol::Generate request) {
  try {
    run(call, std::move(request));
  } catch (const Error& e) {
    throw as_client_error(e);
  }
}

void copy_shared(const api::Inference& from, protocol::Generate& to) {
  to.format = from.format;
  to.truncate = from.truncate;
  to.shift = from.shift;
  to.logprobs = from.logprobs;
  to.top_logprobs = from.top_logprobs;
  to.debug_render_only = from.debug_render_only;
}

}  // namespace

void post_generate(Service& service, http::Exchange& exchange, const std::string&) {
  api::GenerateRequest asked = api::parse_generate(api::parse_body(exchange.request().body));
  if (asked.model.empty()) fail(ErrorKind::kNotFound, "model '' not found");
  Call call = {.service = service,
               .exchange = exchange,
               .request = asked,
               .shape = Shape::kGenerate,
               .empty = asked.prompt.empty()};
  if (!asked.suffix.empty()) call.needs.emplace_back("insert");
  if (!asked.images.empty()) call.needs.emplace_back("vision");
  protocol::Generate request;
  copy_shared(asked, request);
  request.prompt = std::move(asked.prompt);
  request.suffix = std::move(asked.suffix);
  request.has_system = !asked.system.empty();
  request.system = std::move(asked.system);
  request.has_template = !asked.template_text.empty();
  request.template_text = std::move(asked.template_text);
  request.raw = asked.raw;
  request.context = std::move(asked.context);
  request.images = std::move(asked.images);
  run_with_client_errors(call, std::move(request));
}

void post_chat(Service& service, http::Exchange& exchange, const std::string&) {
  api::ChatRequest asked = api::parse_chat(api::parse_body(exchange.request().body));
  Call call = {.service = service,
               .exchange = exchange,
               .request = asked,
               .shape = Shape::kChat,
               .empty = asked.messages.empty()};
  if (!asked.tools.empty()) call.needs.emplace_back("tools");
  if (std::ranges::any_of(asked.messages, [](const Json& m) { return m.contains("images"); }))
    call.needs.emplace_back("vision");
  protocol::Generate request;
  copy_shared(asked, request);
  request.chat = true;
  request.messages = std::move(asked.messages);
  request.tools = std::move(asked.tools);
  run_with_client_errors(call, std::move(request));
}

}  // namespace cria::server
