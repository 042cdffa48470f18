// What counts as a sign of life, with a plan that stands still or gets on as a test wants it.
#include "engine/heartbeat.h"

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <thread>

namespace cria::engine {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class ShownPlan final : public ml::Plan {
 public:
  void run(const ml::StepInput&, ml::KvStore&, std::span<float>) noexcept override {}
  int64_t weight_bytes() const override { return 0; }
  int64_t scratch_bytes() const override { return 0; }
  ml::PlanProgress progress() const noexcept override {
    return {.running = running, .stages = stages};
  }
  std::atomic<bool> running = false;
  std::atomic<uint64_t> stages = 0;
};

struct Signs {
  std::atomic<int> steps = 0, texts = 0;
};

constexpr auto kPatience = 20s;

void compute_for(std::chrono::milliseconds time) {
  for (const auto end = Clock::now() + time; Clock::now() < end;) {
  }
}

// Or till patience ends.
void compute_until(const std::function<bool()>& done) {
  for (const auto end = Clock::now() + kPatience; !done() && Clock::now() < end;) {
  }
}

// The signs that are heard while a thread does `work` after it has begun.
void listen(Signs& signs, ShownPlan& plan, Heartbeat::Worker worker,
            const std::function<void(Heartbeat&)>& work) {
  const Emit emit = [&](const protocol::Event& event) {
    const auto& alive = std::get<protocol::Alive>(event);
    signs.steps += alive.steps ? 1 : 0;
    signs.texts += alive.texts ? 1 : 0;
  };
  Heartbeat heart(plan, emit);
  std::thread thread([&] {
    heart.begin(worker);
    compute_for(50ms);  // of its first sign, whatever comes
    std::this_thread::sleep_for(2 * Heartbeat::kInterval);
    signs.steps = signs.texts = 0;
    work(heart);
    heart.end(worker);
  });
  thread.join();
}

// Whether `work` gave no sign at least once: on a busy machine the sign of what was before it may
// come late.
bool is_silent(ShownPlan& plan, Heartbeat::Worker worker,
               const std::function<void(Heartbeat&, Signs&)>& work) {
  for (int i = 0; i < 5; ++i) {
    Signs signs;
    listen(signs, plan, worker, [&](Heartbeat& heart) { work(heart, signs); });
    if (signs.steps == 0) return true;
  }
  return false;
}

TEST_CASE("work on texts is heard by its processor time, of each thread for itself") {
  ShownPlan plan;
  Signs signs;
  listen(signs, plan, Heartbeat::kSteps,
         [&](Heartbeat&) { compute_until([&] { return signs.steps >= 2; }); });
  CHECK(signs.steps >= 2);
  CHECK(signs.texts == 0);
  listen(signs, plan, Heartbeat::kTexts,
         [&](Heartbeat&) { compute_until([&] { return signs.texts >= 2; }); });
  CHECK(signs.steps == 0);
  CHECK(signs.texts >= 2);
}

TEST_CASE("a thread that waits, or goes round and round, gives no sign") {
  ShownPlan plan;
  CHECK(is_silent(plan, Heartbeat::kSteps, [](Heartbeat&, Signs&) {
    std::this_thread::sleep_for(4 * Heartbeat::kInterval);
  }));
  CHECK(is_silent(plan, Heartbeat::kSteps, [](Heartbeat& heart, Signs&) {
    for (const auto end = Clock::now() + 4 * Heartbeat::kInterval; Clock::now() < end;)
      heart.begin(Heartbeat::kSteps);
  }));
}

TEST_CASE("in a plan only stages count, also while the thread itself waits for others") {
  ShownPlan plan;
  plan.running = true;
  CHECK(is_silent(plan, Heartbeat::kSteps,
                  [](Heartbeat&, Signs&) { compute_for(4 * Heartbeat::kInterval); }));
  Signs signs;
  listen(signs, plan, Heartbeat::kSteps, [&](Heartbeat&) {
    for (const auto end = Clock::now() + kPatience; signs.steps < 2 && Clock::now() < end;) {
      ++plan.stages;
      std::this_thread::sleep_for(Heartbeat::kInterval / 5);
    }
  });
  CHECK(signs.steps >= 2);
}

TEST_CASE("many short runs of a plan that never says it runs are heard by their stages") {
  ShownPlan plan;  // as the reference's
  Signs signs;
  listen(signs, plan, Heartbeat::kSteps, [&](Heartbeat& heart) {
    for (const auto end = Clock::now() + kPatience; signs.steps < 2 && Clock::now() < end;) {
      heart.begin(Heartbeat::kSteps);
      ++plan.stages;
    }
  });
  CHECK(signs.steps >= 2);
}

TEST_CASE("a prompt that is prepared is heard among the steps") {
  ShownPlan plan;
  Signs signs;
  listen(signs, plan, Heartbeat::kLongPrompts,
         [&](Heartbeat&) { compute_until([&] { return signs.steps >= 2; }); });
  CHECK(signs.steps >= 2);
  CHECK(signs.texts == 0);
}

TEST_CASE("a prompt that is stuck silences the steps beside it, one that waits for work does not") {
  const auto steps_for = [](Heartbeat& heart, Signs& signs, const std::function<void()>& work) {
    std::thread steps([&] {
      heart.begin(Heartbeat::kSteps);
      compute_for(2 * Heartbeat::kInterval);
      signs.steps = 0;  // of what was found at first
      work();
      heart.end(Heartbeat::kSteps);
    });
    steps.join();
  };
  ShownPlan plan;
  CHECK(is_silent(plan, Heartbeat::kPrompts, [&](Heartbeat& heart, Signs& signs) {
    steps_for(heart, signs, [] { compute_for(6 * Heartbeat::kInterval); });
  }));
  Signs signs;
  listen(signs, plan, Heartbeat::kPrompts, [&](Heartbeat& heart) {
    heart.end(Heartbeat::kPrompts);
    steps_for(heart, signs, [&] { compute_until([&] { return signs.steps >= 2; }); });
  });
  CHECK(signs.steps >= 2);
}

TEST_CASE("it ends also while somebody works") {
  ShownPlan plan;
  const Emit emit = [](const protocol::Event&) {};
  Heartbeat heart(plan, emit);
  heart.begin(Heartbeat::kSteps);
}

TEST_CASE("who has ended says nothing") {
  ShownPlan plan;
  CHECK(is_silent(plan, Heartbeat::kSteps, [](Heartbeat& heart, Signs&) {
    heart.end(Heartbeat::kSteps);
    compute_for(3 * Heartbeat::kInterval);
  }));
}

}  // namespace
}  // namespace cria::engine
