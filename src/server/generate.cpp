#include "server/generate.h"

#include "base/log.h"
#include "base/settings.h"
#include "server/requests.h"
#include "server/truncation.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

namespace cria::server {
namespace {

constexpr int64_t kMaxContext = int64_t{1} << 30;
constexpr int64_t kMaxThreads = 4096;

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

// A model that only embeds or ranks has none, and its runner, which makes the file before it reads
// the model, would leave an empty one behind.
bool keeps_prompts(Service& service, const Model& model, const std::stop_token& gone) {
  if (!setting_flag("CRIA_PROMPT_CACHE")) return false;
  try {
    return service.models.inspect(model.model_path, false, gone)->can("completion");
  } catch (const Error& e) {  // what is wrong with the file is the runner's to say
    if (e.kind() == ErrorKind::kCancelled) throw;
    log::warn("{}: prompts are not kept on disk: {}", model.short_name, e.what());
    return false;
  }
}

// The answers that a runner gives to one request.
class Answers {
 public:
  Answers(Runner& runner, Call& call, http::Exchange& exchange)
      : runner_(runner), call_(call), exchange_(exchange) {
    note_sent();
    begin();
  }

  // Several run beside each other, `parallel` at a time. The first one begins alone: what it
  // computes of the prompt is in the prefix cache when the others come.
  void pass_on(int64_t parallel, Responder& responder) {
    while (!running_.empty()) {
      const protocol::Event event = events_->next(exchange_.gone());
      if (std::holds_alternative<protocol::Begun>(event)) {
        note_begun();
        continue;
      }
      if (const auto* text = std::get_if<protocol::Text>(&event)) {
        note_text(*text);
        announce(text->truncated);
        responder.on_choice(running_.at(text->id).index);
        responder.on_text(*text);
      } else if (const auto* done = std::get_if<protocol::Done>(&event)) {
        note_done(*done);
        announce(done->truncated);
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

  // Before the first byte, which comes after the first event.
  void announce(const protocol::Truncation& truncated) {
    if (std::exchange(announced_, true) || !truncated.any()) return;
    exchange_.add_header(std::string(kTruncatedHeader), truncated_header(truncated));
  }

  Runner& runner_;
  Call& call_;
  http::Exchange& exchange_;
  const std::shared_ptr<EventQueue> events_ = std::make_shared<EventQueue>();
  std::map<uint64_t, Running> running_;  // by the request's id, which its events carry
  int64_t begun_ = 0;
  bool announced_ = false;
};

void run(Service& service, http::Exchange& exchange, Call& call, Responder& responder) {
  const std::shared_ptr<const Model> found = service.models.find(call.model);
  const Model& model = *found;
  note_model(model.short_name);
  if (call.empty && call.keep_alive && call.keep_alive->count() == 0) {
    service.scheduler.unload(model.model_path);
    return responder.on_done({.reason = "unload"});
  }
  const std::stop_token gone = exchange.gone();
  const std::shared_ptr<const Facts> known = service.models.facts(model, gone);
  const Facts& facts = *known;
  check_capabilities(call, model, facts);
  protocol::Generate& request = call.request;
  request.think = effective_think(call, facts);
  // These were trained without the thinking of earlier answers.
  request.drop_old_thinking =
      facts.family == "qwen3" || model.short_name.starts_with("deepseek-r1");
  request.options = merged_options(model, call.options);
  request.model = {
      .template_text = model.template_text, .system = model.system, .messages = model.messages};
  ModelUse use = use_of(service, model, request.options, gone);
  if (call.empty) use.takes = Takes::kNothing;
  const Lease lease = lease_for(service, use, call.keep_alive, gone);
  responder.on_ready();
  if (call.empty) return responder.on_done({.reason = "load"});
  Answers(lease.runner(), call, exchange).pass_on(lease.runner().parallel(), responder);
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

ModelUse use_of(Service& service, const Model& model, const Json& options,
                const std::stop_token& gone) {
  ModelUse use = {.name = model.short_name, .digest = model.digest, .details = model.details()};
  protocol::Load& load = use.load;
  load.model_path = model.model_path;
  load.adapter_paths = model.adapter_paths;
  if (const Json* const own = json_find(model.parameters, "num_ctx"))
    use.num_ctx = num_ctx_of(api::check_options({{"num_ctx", *own}}));
  load.num_ctx = std::clamp<int64_t>(setting_integer("OLLAMA_CONTEXT_LENGTH"), 0, kMaxContext);
  load.threads = positive(options, "num_thread", kMaxThreads);
  load.parallel = setting_integer("OLLAMA_NUM_PARALLEL");
  // Ollama's q4_0 is taken, so that existing set-ups run, and kept in more bits than asked.
  load.kv_type = setting_choice("OLLAMA_KV_CACHE_TYPE", {"f16", "q8_0", "q4_0", "f32"});
  if (load.kv_type == "q4_0") load.kv_type = "q8_0";
  if (keeps_prompts(service, model, gone)) load.prompt_file = model.prompt_file;
  return use;
}

int64_t num_ctx_of(const Json& options) {
  return positive(options, "num_ctx", kMaxContext);
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

void generate(Service& service, http::Exchange& exchange, Call call, Responder& responder) {
  try {
    run(service, exchange, call, responder);
  } catch (const Error& e) {
    throw as_client_error(e);
  }
}

}  // namespace cria::server
