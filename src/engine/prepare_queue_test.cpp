// The queue with requests that are prepared when the test wants it.
#include "engine/prepare_queue.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>
#include <thread>

namespace cria::engine {
namespace {

protocol::Generate short_request(uint64_t id) {
  return {.id = id, .prompt = "short"};
}
protocol::Generate long_request(uint64_t id) {
  return {.id = id, .prompt = std::string(size_t{1} << 20, 'x')};
}

// Prepares nothing, but takes as long as told.
struct Fixture {
  Prepared prepare(Unprepared request, const Cancelled& cancelled) {
    std::unique_lock lock(mutex);
    if (const auto* embed = std::get_if<protocol::Embed>(&request))
      return PreparedTexts{.request = *embed, .texts = {}, .start = {}};
    auto& generate = std::get<protocol::Generate>(request);
    const uint64_t id = generate.id;
    begun.insert(id);
    changed.notify_all();
    changed.wait(lock, [&] { return !held.contains(id); });
    saw_cancel[id] = cancelled();
    if (generate.raw) return protocol::Event(protocol::Failure{.id = id});
    return PreparedAnswer{.request = std::move(generate), .options = {}, .prompt = {}, .rules = {}};
  }
  void hold(uint64_t id) {
    const std::lock_guard lock(mutex);
    held.insert(id);
  }
  void let_go(uint64_t id) {
    const std::lock_guard lock(mutex);
    held.erase(id);
    changed.notify_all();
  }
  void wait_begun(uint64_t id) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return begun.contains(id); });
  }
  size_t count_begun() {
    const std::lock_guard lock(mutex);
    return begun.size();
  }
  // It is told of what is ready a little after that can be taken.
  void wait_told(int times) const {
    while (told < times) std::this_thread::yield();
    CHECK(told == times);
  }
  uint64_t take() {
    queue.wait_for_one();
    const auto answer = queue.take_answer();
    return answer ? answer->request.id : 0;
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::set<uint64_t> held, begun;
  std::map<uint64_t, bool> saw_cancel;
  std::atomic<int> told = 0;
  PrepareQueue queue{[this](Unprepared request, const Cancelled& cancelled) {
                       return prepare(std::move(request), cancelled);
                     },
                     {.on_ready = [this] { ++told; }}};
};

TEST_CASE("a short request does not wait for a long one that is prepared, and goes first") {
  Fixture f;
  f.hold(1);
  f.queue.submit(long_request(1));
  f.wait_begun(1);
  f.queue.submit(short_request(2));
  CHECK(f.take() == 2);
  CHECK_FALSE(f.queue.has_ready());
  CHECK_FALSE(f.queue.empty());
  f.let_go(1);
  CHECK(f.take() == 1);
  CHECK(f.queue.empty());
  f.wait_told(2);
}

TEST_CASE("what is long in any part is long") {
  const std::string text(1 << 17, 'a');
  const std::vector<protocol::Generate> requests = {
      {.id = 1, .format = {{"properties", {{text, true}}}}},
      {.id = 1, .tools = Json::array({{{text, 1}}})},
      {.id = 1, .model = {.template_text = {}, .system = text, .messages = Json::array()}},
      {.id = 1, .model = {.template_text = {}, .system = {}, .messages = Json::array({text})}}};
  for (const protocol::Generate& request : requests) {
    Fixture f;
    f.hold(1);
    f.queue.submit(request);
    f.wait_begun(1);
    f.queue.submit(short_request(2));
    CHECK(f.take() == 2);
    f.let_go(1);
  }
}

TEST_CASE("of those that are ready the one that came first is the next") {
  Fixture f;
  f.hold(1);
  for (const uint64_t id : {uint64_t{2}, uint64_t{3}}) f.queue.submit(short_request(id));
  f.queue.submit(long_request(1));
  f.queue.submit(short_request(4));
  f.wait_begun(4);
  f.let_go(1);
  f.queue.wait_for_all();
  for (const uint64_t id : std::initializer_list<uint64_t>{2, 3, 1, 4}) CHECK(f.take() == id);
}

TEST_CASE("a request can be cancelled while it waits, is prepared, and is ready") {
  Fixture f;
  f.hold(1);
  f.queue.submit(short_request(1));
  f.queue.submit(short_request(2));
  f.wait_begun(1);
  CHECK(f.queue.cancel(2));
  CHECK(f.queue.cancel(1));
  CHECK_FALSE(f.queue.cancel(1));
  CHECK(f.queue.empty());  // nobody waits for it any more
  f.queue.submit(short_request(3));
  f.let_go(1);
  f.queue.wait_for_all();
  CHECK(f.saw_cancel.at(1));
  CHECK(f.count_begun() == 2);
  f.wait_told(1);
  CHECK(f.queue.cancel(3));
  CHECK(f.queue.empty());
  CHECK_FALSE(f.queue.has_ready());
  CHECK_FALSE(f.queue.cancel(3));
}

TEST_CASE("what ends or is embedded waits for no place among the answers") {
  Fixture f;
  f.queue.submit(short_request(1));
  f.queue.submit(protocol::Generate{.id = 3, .raw = true});
  for (uint64_t id = 101; id < 141; ++id) f.queue.submit(short_request(id));
  f.queue.submit(protocol::Embed{.id = 2, .inputs = {"a"}});  // behind more than are prepared
  f.queue.wait_for_all();
  const std::vector<Prepared> others = f.queue.take_others();
  REQUIRE(others.size() == 2);
  CHECK(std::get<protocol::Failure>(std::get<protocol::Event>(others[0])).id == 3);
  CHECK(std::get<PreparedTexts>(others[1]).request.id == 2);
  CHECK(f.queue.has_answer());
  CHECK(f.take() == 1);
}

TEST_CASE("only some answers are prepared ahead, and the next when one of them is taken") {
  constexpr uint64_t kRequests = 40, kAhead = 16;
  Fixture f;
  for (uint64_t id = 1; id <= kRequests; ++id) f.queue.submit(short_request(id));
  f.queue.wait_for_all();
  CHECK(f.count_begun() == kAhead);
  f.queue.submit(long_request(100));  // of the other thread
  f.wait_begun(100);
  CHECK(f.take() == 1);
  f.wait_begun(kAhead + 1);
  for (uint64_t id = 2; id <= kRequests; ++id) {
    f.queue.wait_for_all();
    CHECK(f.take() == id);
  }
  CHECK(f.take() == 100);
}

}  // namespace
}  // namespace cria::engine
