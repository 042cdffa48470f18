#include "server/generate.h"

#include "base/log_context.h"
#include "base/settings.h"
#include "server/requests.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

namespace cria::server {
namespace {

constexpr int64_t kDefaultContext = 4096;
constexpr int64_t kMaxContext = int64_t{1} << 30;
constexpr int64_t kMaxThreads = 4096;
constexpr int64_t kMaxBatch = int64_t{1} << 20;

// A load-time number within what makes sense; 0 when it is absent or not positive.
int64_t positive(const Json& options, std::string_view name, int64_t limit) {
  return std::clamp<int64_t>(json_integer(options, name).value_or(0), 0, limit);
}

void check_capabilities(const Call& call, const Model& model, const Facts& facts) {
  if (!facts.can("completion"))
    fail(ErrorKind::kInvalidInput, "\"{}\" does not support {}", call.model, call.action);
  for (const std::string& capability : call.needs)
    if (!facts.can(capability))
      fail(ErrorKind::kInvalidInput, "{} does not support {}", model.full_name, capability);
}

Json effective_think(const Call& call, const Facts& facts) {
  if (facts.can("thinking")) return call.think.is_null() ? Json(true) : call.think;
  if (call.drops_think || call.think.is_null() || call.think == false) return {};
  fail(ErrorKind::kInvalidInput, "\"{}\" does not support thinking", call.model);
}

// With a seed each answer gets one of its own, or all would be the same.
void advance_seed(Json& options) {
  const Json* const seed = json_find(options, "seed");
  if (seed != nullptr && seed->is_number_integer() && seed->get<int64_t>() >= 0)
    options["seed"] = seed->get<uint64_t>() + 1;
}

// The answers that a runner gives to one request.
class Answers {
 public:
  Answers(Runner& runner, Call& call) : runner_(runner), call_(call) {
    note_sent();
    begin();
  }

  // Several run beside each other, `parallel` at a time. The first one begins alone: what it
  // computes of the prompt is in the prefix cache when the others come.
  void pass_on(int64_t parallel, const std::stop_token& gone, Responder& responder) {
    while (!running_.empty()) {
      const protocol::Event event = events_->next(gone);
      if (std::holds_alternative<protocol::Begun>(event)) {
        note_begun();
        continue;
      }
      if (const auto* text = std::get_if<protocol::Text>(&event)) {
        note_text(*text);
        responder.on_choice(running_.at(text->id).index);
        responder.on_text(*text);
      } else if (const auto* done = std::get_if<protocol::Done>(&event)) {
        note_done(*done);
        responder.on_choice(running_.at(done->id).index);
        responder.on_done(*done);
        running_.erase(done->id);
      }
      while (begun_ < call_.count && std::ssize(running_) < parallel) begin();
    }
  }

 private:
  struct Running {
    int64_t index;
    std::unique_ptr<Generation> generation;
  };

  void begin() {
    const bool last = begun_ + 1 == call_.count;
    auto generation = runner_.submit(
        last ? std::move(call_.request) : protocol::Generate(call_.request), events_);
    const uint64_t id = generation->id();
    running_.emplace(id, Running{.index = begun_++, .generation = std::move(generation)});
    if (!last) advance_seed(call_.request.options);
  }

  Runner& runner_;
  Call& call_;
  const std::shared_ptr<EventQueue> events_ = std::make_shared<EventQueue>();
  std::map<uint64_t, Running> running_;  // by the request's id, which its events carry
  int64_t begun_ = 0;
};

void run(Service& service, const std::stop_token& gone, Call& call, Responder& responder) {
  const Model model = service.models.find(call.model);
  note_model(model.short_name);
  if (call.empty && call.keep_alive && call.keep_alive->count() == 0) {
    service.scheduler.unload(model.model_path);
    return responder.on_done({.reason = "unload"});
  }
  const Facts facts = service.models.facts(model, gone);
  check_capabilities(call, model, facts);
  protocol::Generate& request = call.request;
  request.request_id = log::request_id();
  request.think = effective_think(call, facts);
  // These were trained without the thinking of earlier answers.
  request.drop_old_thinking =
      facts.family == "qwen3" || model.short_name.starts_with("deepseek-r1");
  request.options = merged_options(model, call.options);
  ModelUse use = use_of(model, request.options);
  use.takes_place = !call.empty;
  const Lease lease = lease_for(service, use, call.keep_alive, gone);
  responder.on_ready();
  if (call.empty) return responder.on_done({.reason = "load"});
  Answers(lease.runner(), call).pass_on(use.load.parallel, gone, responder);
}

Call shared_call(const api::Inference& from) {
  Call call = {.model = from.model,
               .options = from.options,
               .think = from.think,
               .keep_alive = from.keep_alive};
  protocol::Generate& to = call.request;
  to.format = from.format;
  to.truncate = from.truncate;
  to.shift = from.shift;
  to.logprobs = from.logprobs;
  to.top_logprobs = from.top_logprobs;
  to.debug_render_only = from.debug_render_only;
  return call;
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
  if (setting_flag("CRIA_PROMPT_CACHE")) load.prompt_file = model.prompt_file;
  return use;
}

Lease lease_for(Service& service, const ModelUse& use, std::optional<api::Nanoseconds> keep_alive,
                const std::stop_token& gone) {
  const auto start = std::chrono::steady_clock::now();
  Lease lease = service.scheduler.acquire(use, keep_alive, gone);
  note_ready(std::chrono::steady_clock::now() - start);
  return lease;
}

Error as_client_error(const Error& error) {
  const ErrorKind kind = error.kind();
  if (kind == ErrorKind::kTooLarge || kind == ErrorKind::kUnsupported)
    return {ErrorKind::kInvalidInput, error.what()};
  if (kind == ErrorKind::kOutOfMemory) return {ErrorKind::kInternal, error.what()};
  return error;
}

Call chat_call(api::ChatRequest asked) {
  Call call = shared_call(asked);
  call.action = "chat";
  call.empty = asked.messages.empty();
  if (!asked.tools.empty()) call.needs.emplace_back("tools");
  if (std::ranges::any_of(asked.messages, [](const Json& m) { return m.contains("images"); }))
    call.needs.emplace_back("vision");
  call.request.chat = true;
  call.request.messages = std::move(asked.messages);
  call.request.tools = std::move(asked.tools);
  call.request.forced_call = asked.forced_call;
  return call;
}

Call generate_call(api::GenerateRequest asked) {
  Call call = shared_call(asked);
  call.action = "generate";
  call.empty = asked.prompt.empty();
  if (!asked.suffix.empty()) call.needs.emplace_back("insert");
  if (!asked.images.empty()) call.needs.emplace_back("vision");
  protocol::Generate& request = call.request;
  request.prompt = std::move(asked.prompt);
  request.suffix = std::move(asked.suffix);
  request.has_system = !asked.system.empty();
  request.system = std::move(asked.system);
  request.has_template = !asked.template_text.empty();
  request.template_text = std::move(asked.template_text);
  request.raw = asked.raw;
  request.context = std::move(asked.context);
  request.images = std::move(asked.images);
  return call;
}

void generate(Service& service, const std::stop_token& gone, Call call, Responder& responder) {
  try {
    run(service, gone, call, responder);
  } catch (const Error& e) {
    throw as_client_error(e);
  }
}

}  // namespace cria::server
