#include "engine/runner.h"

#include "base/error.h"
#include "base/log.h"
#include "base/log_context.h"
#include "base/resources.h"
#include "base/sandbox.h"
#include "base/settings.h"
#include "engine/engine.h"
#include "engine/guarded.h"
#include "engine/heartbeat.h"
#include "engine/loader.h"
#include "engine/prompt_store.h"
#include "engine/render.h"
#include "engine/text_requests.h"
#include "protocol/channel.h"
#include "protocol/protocol.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <deque>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <variant>

namespace cria::engine {
namespace {

using protocol::Channel;

// What has been received for a thread and it has not yet seen.
class Inbox {
 public:
  static constexpr auto kForever = std::chrono::milliseconds::max();

  void put(protocol::Request request) {
    {
      const std::scoped_lock lock(mutex_);
      queue_.push_back(std::move(request));
    }
    changed_.notify_one();
  }
  // There is something else to do: an idle owner looks for it.
  void wake() {
    {
      const std::scoped_lock lock(mutex_);
      woken_ = true;
    }
    changed_.notify_one();
  }
  void close() {
    {
      const std::scoped_lock lock(mutex_);
      closed_ = true;
    }
    changed_.notify_one();
  }
  // All that has come; waits as long as `most` for something, or for wake(). Nothing when the
  // server has gone.
  std::optional<std::deque<protocol::Request>> take(std::chrono::milliseconds most) {
    std::unique_lock lock(mutex_);
    const auto something = [&] { return closed_ || woken_ || !queue_.empty(); };
    if (most == kForever)
      changed_.wait(lock, something);
    else
      changed_.wait_for(lock, most, something);
    woken_ = false;
    if (closed_) return std::nullopt;  // nobody is left to answer
    return std::exchange(queue_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<protocol::Request> queue_;
  bool closed_ = false, woken_ = false;
};

protocol::Load receive_load(Channel& channel) {
  const std::optional<Json> json = channel.receive();
  if (!json) fail(ErrorKind::kCancelled, "the server closed before it named a model");
  protocol::Request request = protocol::request_from_json(*json);
  if (auto* load = std::get_if<protocol::Load>(&request)) return std::move(*load);
  fail(ErrorKind::kInvalidInput, "the first message to a runner must be \"load\"");
}

// More threads than cores would wait for each other at every barrier.
int threads_for(const protocol::Load& load) {
  const int64_t asked = load.threads > 0 ? load.threads : setting_integer("OLLAMA_NUM_THREADS");
  const int usable = usable_threads();
  if (asked > usable)
    log::warn("runner: {} threads were asked for, {} are used: one for each core", asked, usable);
  return asked > 0 ? static_cast<int>(std::min<int64_t>(asked, usable)) : usable;
}

// Sends progress at most once per percent.
std::function<void(double)> progress_to(Channel& channel) {
  return [&channel, last = -1.0](double fraction) mutable {
    if (fraction < last + 0.01) return;
    last = fraction;
    channel.send(protocol::to_json(protocol::Event(protocol::Progress{.fraction = fraction})));
  };
}

// Without the file the runner works all the same.
std::unique_ptr<PromptStore> open_prompts(const protocol::Load& request) {
  if (request.prompt_file.empty()) return nullptr;
  try {
    return std::make_unique<PromptStore>(request.prompt_file);
  } catch (const Error& e) {
    log::warn("runner: prompts are not kept on disk: {}", e.what());
    return nullptr;
  }
}

// What the bits of a page depend on. The number goes up when kernels begin to give other bits.
std::string prompt_identity(const protocol::Load& request, const LoadedEngine& loaded) {
  constexpr int kComputation = 3;
  return fmt::format("{} {} {} {}", kComputation, request.model_path,
                     quant::info(loaded.model.kv.dtype).name, loaded.memory->store().page_bytes());
}

// The setting CRIA_KV_MEMORY, in bytes.
int64_t kv_memory() {
  constexpr int64_t kMostMebibytes = int64_t{1} << 40;
  return std::min<int64_t>(setting_integer("CRIA_KV_MEMORY"), kMostMebibytes) << 20;
}

LoadedEngine load(const protocol::Load& request, Channel& channel, bool& sandboxed) {
  if (!request.adapter_paths.empty())
    fail(ErrorKind::kUnsupported, "adapters (LoRA) are not supported in this build");
  // Everything outside the file is read before the rights go.
  const LoadSettings settings{.num_ctx = request.num_ctx,
                              .parallel = request.parallel,
                              .kv_memory = kv_memory(),
                              .threads = threads_for(request),
                              .kv_type = request.kv_type,
                              .speculation = setting_flag("CRIA_SPECULATION")
                                                 ? Speculation::kWhereItPays
                                                 : Speculation::kOff,
                              .available_memory = available_memory() - request.promised_bytes,
                              .late_weights = true,
                              .progress = progress_to(channel)};
  const std::shared_ptr<const File> file = File::open(request.model_path);
  ::tzset();  // reads the zone's file: templates may print the date
  const SandboxReport report = enter_sandbox();
  sandboxed = report.files && report.syscalls;
  log::debug("runner: {}", report.text());
  return load_engine(formats::open_gguf(file), settings);
}

// Reads until the server closes or says something that is no message. What has to be prepared goes
// straight to the engine's queue, where it need not wait for the end of a step.
void read_requests(Channel& channel, Engine& engine, Inbox& steps, Inbox& texts) {
  try {
    while (const std::optional<Json> json = channel.receive()) {
      protocol::Request request = protocol::request_from_json(*json);
      if (auto* generate = std::get_if<protocol::Generate>(&request))
        engine.submit(std::move(*generate));
      else if (auto* embed = std::get_if<protocol::Embed>(&request))
        engine.submit(std::move(*embed));
      else if (std::holds_alternative<protocol::Cancel>(request))
        steps.put(std::move(request));
      else if (std::holds_alternative<protocol::Load>(request))
        log::warn("runner: a second \"load\" is ignored");
      else
        texts.put(std::move(request));
    }
  } catch (const Error& e) {
    log::error("runner: {}", e.what());
  }
  steps.close();
  texts.close();
}

// Until the server closes.
void serve_texts(const text::Tokenizer& tokenizer, const Emit& emit, Inbox& inbox,
                 Heartbeat& heart) {
  const auto serve_one = [&](const auto& request) {
    const log::RequestScope scope(request.request_id);
    guarded(emit, request.id, [&] { answer(request, tokenizer, emit); });
  };
  try {
    while (const auto requests = inbox.take(Inbox::kForever)) {
      heart.begin(Heartbeat::kTexts);
      for (const protocol::Request& request : *requests)
        if (const auto* tokenize = std::get_if<protocol::Tokenize>(&request))
          serve_one(*tokenize);
        else if (const auto* detokenize = std::get_if<protocol::Detokenize>(&request))
          serve_one(*detokenize);
      heart.end(Heartbeat::kTexts);
    }
  } catch (const Error& e) {
    log::error("runner: {}", e.what());  // the server has gone
  }
}

// Tells the server how full the KV cache is, and how much memory weights will still take: a few
// times a second, and before a pause.
class UsageReport {
 public:
  UsageReport(const LoadedEngine& loaded, const Emit& emit)
      : memory_(*loaded.memory), plan_(*loaded.plan), emit_(emit) {}

  void after_step(bool busy) {
    const auto now = std::chrono::steady_clock::now();
    if (busy && now < last_ + kInterval) return;
    const PagePool& pool = memory_.pool();
    const protocol::Usage usage{.pages = pool.size(),
                                .pages_used = pool.size() - pool.free(),
                                .pages_cached = memory_.cache().size(),
                                .pages_touched = pool.touched(),
                                .weight_bytes_unread = plan_.unread_bytes()};
    last_ = now;
    if (usage.pages_used == sent_.pages_used && usage.pages_cached == sent_.pages_cached &&
        usage.pages == sent_.pages && usage.pages_touched == sent_.pages_touched &&
        usage.weight_bytes_unread == sent_.weight_bytes_unread)
      return;
    sent_ = usage;
    try {
      emit_(usage);
    } catch (const Error& e) {
      log::debug("runner: {}", e.what());  // the server has gone, which the reader sees as well
    }
  }

 private:
  static constexpr std::chrono::milliseconds kInterval{250};
  KvMemory& memory_;
  const ml::Plan& plan_;
  const Emit& emit_;
  std::chrono::steady_clock::time_point last_;
  protocol::Usage sent_;
};

// What a runner does when nobody asks for anything.
class Leisure {
 public:
  Leisure(ml::Plan& plan, PromptStore* prompts) : plan_(plan), prompts_(prompts) {}

  void after_step() {
    unsaved_ = prompts_ != nullptr;
    quiet_ = false;
  }
  // How long to wait for a request before the next bit.
  std::chrono::milliseconds patience() const {
    if (unsaved_) return std::chrono::milliseconds(0);
    if (plan_.unread_bytes() == 0) return Inbox::kForever;
    return quiet_ ? std::chrono::milliseconds(0) : kBreath;
  }
  void use() {
    if (unsaved_) {
      unsaved_ = !prompts_->save(kWriteAtOnce);
      return;
    }
    if (quiet_) plan_.load(kReadAtOnce);
    quiet_ = true;
  }

 private:
  // A request that comes meanwhile waits for so much, or for kReadAtOnce.
  static constexpr int64_t kWriteAtOnce = 16 << 20;
  // The request that a model was loaded for comes at once, and computes from the file.
  static constexpr std::chrono::milliseconds kBreath{100};
  ml::Plan& plan_;
  PromptStore* prompts_;
  bool unsaved_ = false, quiet_ = false;
};

void serve(Engine& engine, ml::Plan& plan, Inbox& inbox, UsageReport& usage, Heartbeat& heart,
           PromptStore* prompts) {
  Leisure leisure(plan, prompts);
  for (;;) {
    const auto patience = engine.has_work() ? std::chrono::milliseconds(0)
                          : engine.busy()   ? Inbox::kForever  // for what is being prepared
                                            : leisure.patience();
    const auto requests = inbox.take(patience);
    if (!requests) break;
    heart.begin(Heartbeat::kSteps);
    for (const protocol::Request& request : *requests)
      if (const auto* cancel = std::get_if<protocol::Cancel>(&request)) engine.cancel(cancel->id);
    if (engine.has_work()) {
      engine.step();
      leisure.after_step();
    } else if (!engine.busy()) {
      leisure.use();
    }
    const bool has_work = engine.has_work();
    usage.after_step(has_work);
    if (!has_work && (engine.busy() || leisure.patience() > std::chrono::milliseconds(0)))
      heart.end(Heartbeat::kSteps);
  }
  if (prompts != nullptr) prompts->save(std::numeric_limits<int64_t>::max());
}

// Of what ends the runner.
void tell(Channel& channel, const Error& e) {
  try {
    channel.send(protocol::to_json(protocol::Event(protocol::Failure{
        .id = 0, .kind = e.kind(), .message = e.what(), .shortage = e.shortage()})));
  } catch (const Error&) {
    // The server has gone, or was told; its log and the exit code tell it.
  }
}

void run(Channel& channel) {
  const protocol::Load request = receive_load(channel);
  bool sandboxed = false;
  const std::unique_ptr<PromptStore> prompts = open_prompts(request);  // before the rights go
  LoadedEngine loaded = load(request, channel, sandboxed);
  const Emit emit = [&](const protocol::Event& event) { channel.send(protocol::to_json(event)); };
  Renderers renderers(loaded.chat_template);
  Inbox inbox, texts;
  Heartbeat heart(*loaded.plan, emit);
  Engine engine(loaded,
                [&](const protocol::Generate& generate, const Fits& fits) {
                  return renderers(generate, fits);
                },
                emit, {.heart = &heart, .on_ready = [&] { inbox.wake(); }});
  if (prompts) {
    const int64_t pages =
        prompts->load(*loaded.memory, prompt_identity(request, loaded), loaded.model.vocabulary);
    log::debug("runner: {} pages of prompts from disk", pages);
  }
  UsageReport usage(loaded, emit);
  usage.after_step(false);  // what is promised, before another model asks for memory
  emit(protocol::Loaded{.context_length = loaded.context,
                        .longest_context = loaded.longest,
                        .parallel = loaded.parallel,
                        .texts_together = kMostTextsOfStep,
                        .weight_bytes = loaded.plan->weight_bytes(),
                        .scratch_bytes = loaded.plan->scratch_bytes(),
                        .kv_bytes = loaded.memory->store().bytes(),
                        .backend = std::string(loaded.backend->name()),
                        .threads = loaded.threads,
                        .sandboxed = sandboxed});
  std::jthread tokenizing([&] { serve_texts(*loaded.tokenizer, emit, texts, heart); });
  std::jthread reader([&] { read_requests(channel, engine, inbox, texts); });
  try {
    serve(engine, *loaded.plan, inbox, usage, heart, prompts.get());
  } catch (const Error& e) {
    tell(channel, e);
    channel.shut_down();  // so that the reader ends before its inbox does
    throw;
  } catch (...) {
    channel.shut_down();
    throw;
  }
}

}  // namespace

int run_runner(int fd) {
  Channel channel(fd);
  try {
    run(channel);
    return 0;
  } catch (const Error& e) {
    log::error("runner: {}", e.what());
    tell(channel, e);
    return 1;
  }
}

}  // namespace cria::engine
