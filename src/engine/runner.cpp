#include "engine/runner.h"

#include "base/error.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/settings.h"
#include "engine/engine.h"
#include "engine/loader.h"
#include "engine/render.h"
#include "engine/resources.h"
#include "protocol/channel.h"
#include "protocol/protocol.h"

#include <chrono>
#include <condition_variable>
#include <ctime>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <variant>

namespace cria::engine {
namespace {

using protocol::Channel;

// What the reader thread has received and the owner thread has not yet seen.
class Inbox {
 public:
  void put(protocol::Request request) {
    {
      const std::scoped_lock lock(mutex_);
      queue_.push_back(std::move(request));
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
  // All that has come; waits for something when `idle`. Nothing when the server has gone.
  std::optional<std::deque<protocol::Request>> take(bool idle) {
    std::unique_lock lock(mutex_);
    if (idle) changed_.wait(lock, [&] { return closed_ || !queue_.empty(); });
    if (closed_) return std::nullopt;  // nobody is left to answer
    return std::exchange(queue_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<protocol::Request> queue_;
  bool closed_ = false;
};

protocol::Load receive_load(Channel& channel) {
  const std::optional<Json> json = channel.receive();
  if (!json) fail(ErrorKind::kCancelled, "the server closed before it named a model");
  protocol::Request request = protocol::request_from_json(*json);
  if (auto* load = std::get_if<protocol::Load>(&request)) return std::move(*load);
  fail(ErrorKind::kInvalidInput, "the first message to a runner must be \"load\"");
}

int threads_for(const protocol::Load& load) {
  constexpr int64_t kMost = 1024;
  int64_t asked = load.threads > 0 ? load.threads : setting_integer("OLLAMA_NUM_THREADS");
  return static_cast<int>(asked > 0 ? std::min(asked, kMost) : usable_threads());
}

// Sends progress at most once per percent.
std::function<void(double)> progress_to(Channel& channel) {
  return [&channel, last = -1.0](double fraction) mutable {
    if (fraction < last + 0.01) return;
    last = fraction;
    channel.send(protocol::to_json(protocol::Event(protocol::Progress{.fraction = fraction})));
  };
}

LoadedEngine load(const protocol::Load& request, Channel& channel, bool& sandboxed) {
  if (!request.adapter_paths.empty())
    fail(ErrorKind::kUnsupported, "adapters (LoRA) are not supported in this build");
  // Everything outside the file is read before the rights go.
  const LoadSettings settings{.num_ctx = request.num_ctx,
                              .num_batch = request.num_batch,
                              .parallel = request.parallel,
                              .threads = threads_for(request),
                              .kv_type = request.kv_type,
                              .speculation = setting_flag("CRIA_SPECULATION")
                                                 ? Speculation::kWhereItPays
                                                 : Speculation::kOff,
                              .embed = request.embed,
                              .available_memory = available_memory(),
                              .progress = progress_to(channel)};
  const std::shared_ptr<const File> file = File::open(request.model_path);
  ::tzset();  // reads the zone's file: templates may print the date
  const SandboxReport report = enter_sandbox();
  sandboxed = report.files && report.syscalls;
  log::debug("runner: {}", report.text());
  return load_engine(formats::open_gguf(file), settings);
}

// Reads until the server closes or says something that is no message.
void read_requests(Channel& channel, Inbox& inbox) {
  try {
    while (const std::optional<Json> json = channel.receive())
      inbox.put(protocol::request_from_json(*json));
  } catch (const Error& e) {
    log::error("runner: {}", e.what());
  }
  inbox.close();
}

// Tells the server how full the KV cache is: a few times a second, and before a pause.
class UsageReport {
 public:
  UsageReport(KvMemory& memory, const Emit& emit) : memory_(memory), emit_(emit) {}

  void after_step(bool busy) {
    const auto now = std::chrono::steady_clock::now();
    if (busy && now < last_ + kInterval) return;
    const PagePool& pool = memory_.pool();
    const protocol::Usage usage{.pages = pool.size(),
                                .pages_used = pool.size() - pool.free(),
                                .pages_cached = memory_.cache().size()};
    last_ = now;
    if (usage.pages_used == sent_.pages_used && usage.pages_cached == sent_.pages_cached &&
        usage.pages == sent_.pages)
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
  const Emit& emit_;
  std::chrono::steady_clock::time_point last_;
  protocol::Usage sent_;
};

void serve(Engine& engine, Inbox& inbox, UsageReport& usage) {
  while (auto requests = inbox.take(!engine.busy())) {
    for (protocol::Request& request : *requests) {
      if (auto* generate = std::get_if<protocol::Generate>(&request))
        engine.submit(std::move(*generate));
      else if (auto* embed = std::get_if<protocol::Embed>(&request))
        engine.submit(std::move(*embed));
      else if (const auto* cancel = std::get_if<protocol::Cancel>(&request))
        engine.cancel(cancel->id);
      else
        log::warn("runner: a second \"load\" is ignored");
    }
    if (engine.busy()) engine.step();
    usage.after_step(engine.busy());
  }
}

void run(Channel& channel) {
  const protocol::Load request = receive_load(channel);
  bool sandboxed = false;
  LoadedEngine loaded = load(request, channel, sandboxed);
  const Emit emit = [&](const protocol::Event& event) { channel.send(protocol::to_json(event)); };
  Renderer renderer(request, loaded.chat_template);
  Engine engine(
      loaded,
      [&](const protocol::Generate& generate, const Fits& fits) {
        return renderer(generate, fits);
      },
      emit);
  emit(protocol::Loaded{.context_length = loaded.context,
                        .weight_bytes = loaded.plan->weight_bytes(),
                        .kv_bytes = loaded.memory->store().bytes(),
                        .scratch_bytes = loaded.plan->scratch_bytes(),
                        .backend = std::string(loaded.backend->name()),
                        .threads = loaded.threads,
                        .sandboxed = sandboxed});
  Inbox inbox;
  std::jthread reader([&] { read_requests(channel, inbox); });
  UsageReport usage(*loaded.memory, emit);
  usage.after_step(false);
  try {
    serve(engine, inbox, usage);
  } catch (...) {
    channel.shut_down();  // so that the reader ends before its inbox does
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
    try {
      channel.send(protocol::to_json(
          protocol::Event(protocol::Failure{.id = 0, .kind = e.kind(), .message = e.what()})));
    } catch (const Error&) {
      // The server has gone; its log and the exit code tell it.
    }
    return 1;
  }
}

}  // namespace cria::engine
