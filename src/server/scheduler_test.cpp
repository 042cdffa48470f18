// The scheduler with processes that only pretend to hold a model (tests/server/fake_runner.py).
#include "server/scheduler.h"
#include "tests/kind_of.h"

#include <doctest/doctest.h>
#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <stop_token>
#include <thread>

namespace cria::server {
namespace {

using namespace std::chrono_literals;

SchedulerOptions options() {
  SchedulerOptions out;
  out.program = std::string(CRIA_SOURCE_DIR) + "/tests/server/fake_runner.py";
  return out;
}

ModelUse model(const std::string& path, int64_t threads = 0) {
  ModelUse use = {.name = path, .digest = "d"};
  use.load.model_path = path;
  use.load.num_ctx = 4096;
  use.load.threads = threads;
  return use;
}

std::string ask(const Lease& lease) {
  const auto generation = lease.runner().submit({.prompt = "hi"});
  std::string text;
  for (;;) {
    const protocol::Event event = generation->next({});
    if (const auto* part = std::get_if<protocol::Text>(&event)) text += part->content;
    if (std::holds_alternative<protocol::Done>(event)) return text;
  }
}

using test::kind_of;

bool process_exists(pid_t pid) {
  return ::kill(pid, 0) == 0;
}

bool soon(auto&& condition) {
  for (int i = 0; i < 6000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

// Loading of a process takes the time that Python needs to start.
TEST_CASE("a model is loaded once, serves several requests, and ends with its keep-alive") {
  Scheduler scheduler(options());
  pid_t pid = 0;
  {
    const Lease one = scheduler.acquire(model("a"), 100ms, {});
    const Lease two = scheduler.acquire(model("a"), std::nullopt, {});
    pid = one.runner().pid();
    CHECK(two.runner().pid() == pid);
    CHECK(ask(one) == "echo hi");
    CHECK(ask(two) == "echo hi");
    const auto loaded = scheduler.loaded();
    REQUIRE(loaded.size() == 1);
    CHECK(loaded[0].size == 123);
    CHECK(loaded[0].context_length == 4096);
    std::this_thread::sleep_for(200ms);
    CHECK(process_exists(pid));  // the timer starts at the end of the last request
  }
  CHECK(soon([&] { return scheduler.loaded().empty() && !process_exists(pid); }));
}

TEST_CASE("keep_alive 0 unloads after the request, forever stays, unload ends it") {
  Scheduler scheduler(options());
  {
    const Lease lease = scheduler.acquire(model("a"), 0ns, {});
  }
  CHECK(scheduler.loaded().empty());
  {
    const Lease lease = scheduler.acquire(model("b"), api::kForever, {});
  }
  REQUIRE(scheduler.loaded().size() == 1);
  CHECK(scheduler.loaded()[0].expires_at >
        std::chrono::system_clock::now() + std::chrono::years(100));
  {
    const Lease lease = scheduler.acquire(model("b"), std::nullopt, {});
  }  // keeps its value
  CHECK(scheduler.loaded().size() == 1);
  scheduler.unload("b");
  CHECK(scheduler.loaded().empty());
}

TEST_CASE(
    "another number of threads reloads, and the status says why, and no wish fits any runner") {
  Scheduler scheduler(options());
  const auto pid_with = [&](int64_t threads) {
    return scheduler.acquire(model("a", threads), std::nullopt, {}).runner().pid();
  };
  const auto reason = [&] { return scheduler.status().runners.at(0).reason; };
  const pid_t first = pid_with(0);
  CHECK(reason().empty());
  CHECK(pid_with(4) == first);  // it has one for each core: the fake has one
  scheduler.unload("a");
  const pid_t second = pid_with(1000);
  CHECK(reason().empty());  // nothing was there
  CHECK(pid_with(1000) == second);
  CHECK(pid_with(0) == second);
  const pid_t third = pid_with(2000);
  CHECK(third != second);
  CHECK(reason() == "num_thread is 2000 instead of 1000");
  CHECK_FALSE(process_exists(second));
}

TEST_CASE("names that share weights share a runner, whatever their context") {
  Scheduler scheduler(options());
  ModelUse child = model("a");
  child.name = "child";
  child.num_ctx = 512;
  const pid_t first = scheduler.acquire(child, std::nullopt, {}).runner().pid();
  CHECK(scheduler.loaded().at(0).context_length == 512);
  CHECK(scheduler.acquire(model("a"), std::nullopt, {}).runner().pid() == first);
}

TEST_CASE("memory that a runner may still take is not offered to the next one") {
  Scheduler scheduler(options());
  const Lease one = scheduler.acquire(model("half-used"), std::nullopt, {});
  REQUIRE(soon([&] { return scheduler.status().runners.at(0).usage.pages == 10; }));
  CHECK(scheduler.loaded().at(0).size == 100 + 3 + 10);  // of 20 bytes of KV cache
  const Lease two = scheduler.acquire(model("promised"), std::nullopt, {});
  CHECK(ask(two) == "10");
}

TEST_CASE("memory that a runner's weights will take yet is not offered to the next one") {
  Scheduler scheduler(options());
  const Lease one = scheduler.acquire(model("half-unread"), std::nullopt, {});
  REQUIRE(soon([&] { return scheduler.status().runners.at(0).usage.pages == 10; }));
  const Lease two = scheduler.acquire(model("promised"), std::nullopt, {});
  CHECK(ask(two) == "70");
}

// Idle ones, each of which holds 123 of the 1000 bytes that the fake says there are.
void load_halves(Scheduler& scheduler, std::initializer_list<const char*> names) {
  auto keep = 10min;
  for (const char* const name : names) {
    const Lease lease = scheduler.acquire(model(name), keep++, {});
    REQUIRE(soon([&] { return scheduler.status().runners.back().usage.pages == 10; }));
  }
}

std::vector<std::string> names_of(const Scheduler& scheduler) {
  std::vector<std::string> names;
  for (const LoadedModel& one : scheduler.loaded()) names.push_back(one.name);
  std::ranges::sort(names);
  return names;
}

using Names = std::vector<std::string>;

struct Counts {
  std::atomic<int> starts = 0, failures = 0;
};

SchedulerOptions counted(Counts& counts) {
  SchedulerOptions out = options();
  out.max_loaded = 4;
  out.on_start = [&](const std::string&) { ++counts.starts; };
  out.on_failure = [&](const std::string&) { ++counts.failures; };
  return out;
}

TEST_CASE("as many idle models go as make room for another one, and it counts as no failure") {
  Counts counts;
  Scheduler scheduler(counted(counts));
  load_halves(scheduler, {"half-1", "half-2", "half-3"});
  {
    const Lease lease = scheduler.acquire(model("needs-700"), 0ns, {});
  }
  CHECK(names_of(scheduler) == Names{"half-2", "half-3"});
  {
    const Lease lease = scheduler.acquire(model("needs-1000"), 0ns, {});
  }
  CHECK(names_of(scheduler).empty());
  CHECK(counts.starts == 3 + 2 * 2);  // each was started, refused, and started again
  CHECK(counts.failures == 0);
}

TEST_CASE("a load that can not fit leaves idle models alone, says why, and counts as one failure") {
  Counts counts;
  Scheduler scheduler(counted(counts));
  load_halves(scheduler, {"half-1", "half-2"});
  CHECK_THROWS_WITH(scheduler.acquire(model("needs-1001"), std::nullopt, {}),
                    "too little memory; the 0.2 KiB of idle models would be too little");
  CHECK(names_of(scheduler) == Names{"half-1", "half-2"});
  CHECK(counts.failures == 1);
  CHECK(counts.starts == 3);
  const Lease busy = scheduler.acquire(model("half-1"), std::nullopt, {});
  CHECK_THROWS_WITH(scheduler.acquire(model("needs-1000"), std::nullopt, {}),
                    "too little memory; the 0.1 KiB of idle models would be too little; models in "
                    "use hold 0.1 KiB: try again when they are idle");
  CHECK(names_of(scheduler) == Names{"half-1", "half-2"});
  CHECK(counts.failures == 2);
  CHECK(kind_of([&] { scheduler.acquire(model("needs-1000"), std::nullopt, {}); }) ==
        ErrorKind::kOutOfMemory);
  CHECK(ask(busy) == "echo hi");
}

TEST_CASE("where too many are loaded, none goes for a model that the memory can not hold") {
  Counts counts;
  SchedulerOptions one = counted(counts);
  one.max_loaded = 1;
  Scheduler scheduler(one);
  const auto file =
      std::filesystem::temp_directory_path() / fmt::format("cria_scheduler_{}", ::getpid());
  std::ofstream(file).put('x');
  std::filesystem::resize_file(file, uintmax_t{8} << 40);  // with a hole: it occupies nothing
  load_halves(scheduler, {"half-1"});
  CHECK(kind_of([&] { scheduler.acquire(model(file), std::nullopt, {}); }) ==
        ErrorKind::kOutOfMemory);
  std::filesystem::remove(file);
  CHECK(names_of(scheduler) == Names{"half-1"});
  CHECK(counts.starts == 1);
  CHECK(counts.failures == 1);
  // What the file does not show is known from the first time.
  const ModelUse hopeless = model("needs-1000000000000000000");
  for (const Names& left : {Names{}, Names{"half-1"}}) {
    load_halves(scheduler, {"half-1"});
    CHECK(kind_of([&] { scheduler.acquire(hopeless, std::nullopt, {}); }) ==
          ErrorKind::kOutOfMemory);
    CHECK(names_of(scheduler) == left);
  }
}

TEST_CASE("a reload waits for the requests that still run") {
  Scheduler scheduler(options());
  auto lease = std::make_unique<Lease>(scheduler.acquire(model("a", 1000), std::nullopt, {}));
  std::atomic<bool> reloaded = false;
  std::thread other([&] {
    const Lease second = scheduler.acquire(model("a", 2000), std::nullopt, {});
    reloaded = true;
  });
  std::this_thread::sleep_for(200ms);
  CHECK_FALSE(reloaded);
  CHECK(ask(*lease) == "echo hi");
  lease.reset();
  other.join();
  CHECK(reloaded);
}

TEST_CASE("too many models: the idle one with the shortest keep-alive goes") {
  SchedulerOptions two = options();
  two.max_loaded = 2;
  Scheduler scheduler(two);
  {
    const Lease lease = scheduler.acquire(model("long"), 1h, {});
  }
  {
    const Lease lease = scheduler.acquire(model("short"), 1min, {});
  }
  {
    const Lease lease = scheduler.acquire(model("new"), 1h, {});
  }
  CHECK(names_of(scheduler) == Names{"long", "new"});
}

TEST_CASE("a full queue is refused at once, a loaded model is not affected by it") {
  SchedulerOptions small = options();
  small.max_queue = 1;
  Scheduler scheduler(small);
  ModelUse ready = model("ready");
  ready.load.parallel = 2;
  const Lease lease = scheduler.acquire(ready, std::nullopt, {});
  std::stop_source stop;
  std::thread loader([&] {
    CHECK(kind_of([&] { scheduler.acquire(model("slow"), std::nullopt, stop.get_token()); }) ==
          ErrorKind::kCancelled);
  });
  CHECK(soon([&] { return scheduler.status().runners.size() == 2; }));
  CHECK(kind_of([&] { scheduler.acquire(model("third"), std::nullopt, {}); }) == ErrorKind::kBusy);
  {
    const Lease again = scheduler.acquire(ready, std::nullopt, {});
  }
  stop.request_stop();
  loader.join();
  CHECK(soon([&] { return scheduler.loaded().size() == 1; }));
}

TEST_CASE("who waits for a place in a loaded runner counts for the queue, with a position") {
  SchedulerOptions small = options();
  small.max_queue = 2;
  Scheduler scheduler(small);
  ModelUse use = model("x-mute");
  use.load.parallel = 2;
  std::vector<std::unique_ptr<Lease>> leases;
  std::vector<std::unique_ptr<Generation>> requests;
  for (int i = 0; i < 4; ++i) {  // two have places, two wait
    leases.push_back(std::make_unique<Lease>(scheduler.acquire(use, std::nullopt, {})));
    requests.push_back(leases.back()->runner().submit({.prompt = "hi"}));
  }
  CHECK(kind_of([&] { scheduler.acquire(use, std::nullopt, {}); }) == ErrorKind::kBusy);
  CHECK(kind_of([&] { scheduler.acquire(model("b"), std::nullopt, {}); }) == ErrorKind::kBusy);
  ModelUse tokenizes = use;
  tokenizes.takes = Takes::kNothing;
  {
    const Lease lease = scheduler.acquire(tokenizes, std::nullopt, {});
  }
  const auto positions = [&] {
    std::vector<int64_t> out;
    for (const QueuedRequest& one : scheduler.status().queue) out.push_back(one.position);
    return out;
  };
  CHECK(positions() == std::vector<int64_t>{1, 2, 3, 4});  // this runner never says who has begun
  requests.pop_back();
  CHECK(positions() == std::vector<int64_t>{1, 2, 3});
  leases.pop_back();
  leases.push_back(std::make_unique<Lease>(scheduler.acquire(use, std::nullopt, {})));
  CHECK(kind_of([&] { scheduler.acquire(use, std::nullopt, {}); }) == ErrorKind::kBusy);
}

TEST_CASE("texts to embed share one place, as many requests as are computed together") {
  SchedulerOptions small = options();
  small.max_queue = 1;
  Scheduler scheduler(small);
  const ModelUse answers = model("x-mute");
  ModelUse texts = answers;
  texts.takes = Takes::kShare;
  std::vector<std::unique_ptr<Lease>> leases;
  const auto acquire = [&](const ModelUse& use) {
    leases.push_back(std::make_unique<Lease>(scheduler.acquire(use, std::nullopt, {})));
  };
  for (int i = 0; i < 64 + 1; ++i) acquire(texts);  // the fake's 64, and one that waits
  CHECK(kind_of([&] { acquire(texts); }) == ErrorKind::kBusy);
  CHECK(kind_of([&] { acquire(answers); }) == ErrorKind::kBusy);  // there is one place
  leases.pop_back();
  acquire(answers);
  CHECK(kind_of([&] { acquire(texts); }) == ErrorKind::kBusy);
  leases.clear();
  acquire(answers);
  acquire(texts);
  CHECK(kind_of([&] { acquire(texts); }) == ErrorKind::kBusy);  // none of them has begun
  leases.erase(leases.begin());
  for (int i = 1; i < 64; ++i) acquire(texts);
}

TEST_CASE("a runner that is never idle is not kept from the one who waits for its place") {
  SchedulerOptions one = options();
  one.max_loaded = 1;
  one.patience = 200ms;
  Scheduler scheduler(one);
  std::atomic<bool> done = false;
  std::vector<std::jthread> busy;
  for (int i = 0; i < 3; ++i)  // there is always one of them that holds a lease
    busy.emplace_back([&, i] {
      std::this_thread::sleep_for(i * 30ms);
      while (!done) {
        const Lease lease = scheduler.acquire(model("a"), std::nullopt, {});
        std::this_thread::sleep_for(100ms);
      }
    });
  std::stop_source give_up;
  const std::jthread alarm([&] {
    soon([&] { return done.load(); });
    give_up.request_stop();
  });
  CHECK(soon([&] { return !scheduler.loaded().empty(); }));
  try {
    const Lease lease = scheduler.acquire(model("b"), std::nullopt, give_up.get_token());
    CHECK(ask(lease) == "echo hi");
  } catch (const Error& e) {
    FAIL_CHECK(e.what());
  }
  done = true;
}

TEST_CASE("a load without progress ends at its timeout, a refused one with the reason") {
  SchedulerOptions impatient = options();
  impatient.load_timeout = 300ms;
  Scheduler scheduler(impatient);
  CHECK_THROWS_WITH(scheduler.acquire(model("slow"), std::nullopt, {}),
                    "timed out waiting for the model runner to start - no progress for 300ms");
  SchedulerOptions patient = options();
  Scheduler other(patient);
  CHECK_THROWS_WITH(other.acquire(model("refuse"), std::nullopt, {}), "this file is broken");
  {
    const Lease lease = other.acquire(model("fine"), std::nullopt, {});
  }
}

TEST_CASE("a runner that dies or talks nonsense fails its request, the next gets a fresh one") {
  for (const char* name : {"x-crash", "x-garbage"}) {
    Scheduler scheduler(options());
    pid_t pid = 0;
    {
      const Lease lease = scheduler.acquire(model(name), std::nullopt, {});
      pid = lease.runner().pid();
      const auto generation = lease.runner().submit({.prompt = "hi"});
      CHECK_THROWS_WITH(generation->next({}), std::string(kRunnerStopped).c_str());
    }
    CHECK(soon([&] { return !process_exists(pid); }));
    const Lease lease = scheduler.acquire(model(name), std::nullopt, {});
    CHECK(lease.runner().pid() != pid);
  }
}

TEST_CASE("a runner killed from outside fails every request that it serves") {
  Scheduler scheduler(options());
  const Lease lease = scheduler.acquire(model("x-mute"), std::nullopt, {});
  const auto one = lease.runner().submit({.prompt = "1"}),
             two = lease.runner().submit({.prompt = "2"});
  ::kill(lease.runner().pid(), SIGKILL);
  CHECK(kind_of([&] { one->next({}); }) == ErrorKind::kInternal);
  CHECK(kind_of([&] { two->next({}); }) == ErrorKind::kInternal);
}

SchedulerOptions watched(std::chrono::milliseconds limit) {
  SchedulerOptions out = options();
  out.watchdog = limit;
  return out;
}

std::string no_progress(std::string_view limit) {
  return fmt::format(
      "the model runner made no progress for {} and was ended; the next request starts a new one",
      limit);
}

TEST_CASE("a runner that owes answers and gives no sign of life is ended, the next one is fresh") {
  int failures = 0;
  SchedulerOptions impatient = watched(500ms);
  impatient.on_failure = [&](const std::string&) { ++failures; };
  {
    Scheduler scheduler(impatient);
    pid_t pid = 0;
    {
      const Lease lease = scheduler.acquire(model("x-mute"), std::nullopt, {});
      pid = lease.runner().pid();
      const auto one = lease.runner().submit({.prompt = "1"}),
                 two = lease.runner().submit({.prompt = "2"});
      CHECK_THROWS_WITH(one->next({}), no_progress("500ms").c_str());
      CHECK_THROWS_WITH(two->next({}), no_progress("500ms").c_str());
      CHECK_FALSE(lease.runner().alive());
    }
    CHECK(soon([&] { return !process_exists(pid); }));
    const Lease lease = scheduler.acquire(model("x-mute"), std::nullopt, {});
    CHECK(lease.runner().pid() != pid);
    std::this_thread::sleep_for(1s);  // it owes nothing
    CHECK(lease.runner().alive());
  }
  CHECK(failures == 1);
}

TEST_CASE("a stuck runner is also found when its clients give up sooner than the watchdog") {
  Scheduler scheduler(watched(500ms));
  const Lease lease = scheduler.acquire(model("x-mute"), std::nullopt, {});
  CHECK(soon([&] {
    const auto generation = lease.runner().submit({.prompt = "hi"});
    std::this_thread::sleep_for(200ms);
    return !lease.runner().alive();
  }));
}

TEST_CASE("answers of the tokenizer are no signs of life of the engine") {
  Scheduler scheduler(watched(3s));
  const Lease lease = scheduler.acquire(model("x-mute"), std::nullopt, {});
  const auto generation = lease.runner().submit({.prompt = "hi"});
  int answered = 0;
  CHECK(soon([&] {
    try {
      lease.runner().submit(protocol::Tokenize{.text = "hi"})->next({});
      ++answered;
      return false;
    } catch (const Error&) {
      return true;
    }
  }));
  CHECK(answered > 10);
  CHECK_THROWS_WITH(generation->next({}), no_progress("3s").c_str());
}

TEST_CASE(
    "a slow runner that gives signs of life is left alone, and so is any without a watchdog") {
  for (const auto& [limit, name] : {std::pair(3000ms, "x-toil"), std::pair(0ms, "x-mute")}) {
    Scheduler scheduler(watched(limit));
    const Lease lease = scheduler.acquire(model(name), std::nullopt, {});
    if (limit > 0ms) {
      CHECK(ask(lease) == "echo hi");
      continue;
    }
    const auto generation = lease.runner().submit({.prompt = "hi"});
    std::this_thread::sleep_for(1s);
    CHECK(lease.runner().alive());
  }
}

TEST_CASE("dropping a request cancels it in the runner, which goes on serving") {
  Scheduler scheduler(options());
  const Lease lease = scheduler.acquire(model("x-endless"), std::nullopt, {});
  for (int i = 0; i < 2; ++i) {
    const auto generation = lease.runner().submit({.prompt = "hi"});
    for (int n = 0; n < 5; ++n) CHECK(std::holds_alternative<protocol::Text>(generation->next({})));
    std::stop_source stop;
    stop.request_stop();
    CHECK(kind_of([&] {
            for (;;) generation->next(stop.get_token());
          }) == ErrorKind::kCancelled);
  }
  CHECK(lease.runner().alive());
}

TEST_CASE("a runner that starts while the server shuts down is ended with it") {
  SchedulerOptions held = options();
  held.load_timeout = 10s;
  std::promise<void> started, go_on;
  held.on_start = [&](const std::string&) {
    started.set_value();
    go_on.get_future().wait();
  };
  Scheduler scheduler(held);
  std::thread loading([&] {
    CHECK(kind_of([&] { scheduler.acquire(model("slow"), std::nullopt, {}); }) == ErrorKind::kBusy);
  });
  started.get_future().wait();
  std::thread ending([&] { scheduler.shut_down(); });
  // Queued behind the other until then.
  CHECK(kind_of([&] { scheduler.acquire(model("b"), std::nullopt, {}); }) == ErrorKind::kBusy);
  go_on.set_value();
  loading.join();
  ending.join();
  CHECK(scheduler.status().runners.empty());
}

TEST_CASE("shutting down ends every runner and every waiting request") {
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  const auto before = descriptors();
  {
    Scheduler scheduler(options());
    std::thread waiting(
        [&] { CHECK_THROWS_AS(scheduler.acquire(model("slow"), std::nullopt, {}), Error); });
    CHECK(soon([&] { return !scheduler.status().runners.empty(); }));
    scheduler.shut_down();
    waiting.join();
  }
  CHECK(soon([&] { return descriptors() <= before; }));  // an earlier one may still be closing
}

}  // namespace
}  // namespace cria::server
