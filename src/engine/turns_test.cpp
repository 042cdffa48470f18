// Answers that go on past their context, in a KV cache with room for little more than one of them.
#include "engine/engine_for_tests.h"
#include "tests/model_files.h"

#include <doctest/doctest.h>

#include <utility>

namespace cria::engine {
namespace {

using test::have_model, test::kSmall, test::test_model;

struct Fixture : EngineFixture {
  explicit Fixture(LoadSettings settings, const char* model = kSmall)
      : EngineFixture(test_model(model), std::move(settings)) {}
};

constexpr int64_t kOneContext = 6 << 20;  // bytes
constexpr const char* kNoEnd =
    R"("temperature":0,"repeat_penalty":1.2,"logit_bias":{"0":-100,"2":-100})";

std::string options(int64_t tokens) {
  return fmt::format("{{{},\"num_predict\":{}}}", kNoEnd, tokens);
}

TEST_CASE("an answer that has shifted gives others a turn, and says what it says alone") {
  if (!have_model()) return;
  for (const Speculation speculation : {Speculation::kOff, Speculation::kAlways}) {
    Fixture alone({.kv_memory = kOneContext, .speculation = speculation});
    Fixture f({.parallel = 3, .kv_memory = kOneContext, .speculation = speculation});
    const int64_t context = f.loaded.longest, most = 3 * context;
    REQUIRE(context == alone.loaded.longest);
    const std::string endless = options(most), brief = options(20);
    const uint64_t first = f.submit("One, two", endless.c_str());
    while (f.answers[first].tokens < context + 10) f.engine->step();
    const uint64_t second = f.submit(kStory, brief.c_str());
    const uint64_t texts = f.embed({kStory, "short"});
    while (!f.answers[second].ended || !f.answers[texts].ended) {
      f.engine->step();
      REQUIRE_FALSE(f.answers[first].ended);
    }
    CHECK(f.answers[first].tokens < context + 200);  // a turn or two of 64
    f.finish();
    CHECK(f.answers[texts].failure.empty());
    CHECK(f.answers[second].text == alone.ask(kStory, brief.c_str()).text);
    const Answer whole = alone.ask("One, two", endless.c_str());
    CHECK(f.answers[first].text == whole.text);
    CHECK(f.answers[first].done.generated_tokens == most);
    CHECK(f.answers[first].done.shifted_tokens == whole.done.shifted_tokens);
    CHECK(f.held_by_requests() == 0);
  }
}

TEST_CASE("answers that have all shifted take turns, and a new one begins among them") {
  if (!have_model()) return;
  Fixture f({.parallel = 3, .kv_memory = kOneContext});
  Fixture alone({.kv_memory = kOneContext});
  const int64_t context = f.loaded.longest, most = 2 * context;
  const std::string endless = options(most), brief = options(20);
  const std::vector<std::string> prompts = {"One, two", "Once upon a time"};
  std::vector<uint64_t> ids;
  for (const std::string& prompt : prompts) ids.push_back(f.submit(prompt, endless.c_str()));
  while (f.answers[ids[0]].tokens < context + 10 || f.answers[ids[1]].tokens < context + 10)
    f.engine->step();
  REQUIRE_FALSE(f.answers[ids[0]].ended);
  REQUIRE_FALSE(f.answers[ids[1]].ended);
  const uint64_t late = f.submit(kStory, brief.c_str());
  while (!f.answers[late].ended) f.engine->step();
  for (const uint64_t id : ids) CHECK_FALSE(f.answers[id].ended);
  f.finish();
  for (size_t i = 0; i < ids.size(); ++i) {
    CHECK(f.answers[ids[i]].done.generated_tokens == most);
    CHECK(f.answers[ids[i]].text == alone.ask(prompts[i], endless.c_str()).text);
  }
  CHECK(f.answers[late].text == alone.ask(kStory, brief.c_str()).text);
}

TEST_CASE("an answer that has shifted is not passed over for ever by new ones that keep coming") {
  if (!have_model()) return;
  Fixture f({.parallel = 3, .kv_memory = kOneContext});
  const int64_t context = f.loaded.longest, most = context + 300;
  const std::string endless = options(most), brief = options(20);
  const uint64_t first = f.submit("One, two", endless.c_str());
  while (f.answers[first].tokens < context + 10) f.engine->step();
  std::vector<uint64_t> others;
  int64_t sent = 0, steps = 0;
  while (!f.answers[first].ended) {
    for (; others.size() < 6; ++sent) others.push_back(f.submit(kStory, brief.c_str()));
    REQUIRE(++steps < 50'000);
    REQUIRE(sent < 100);  // three begin for each of its turns of 64 tokens or more
    f.engine->step();
    std::erase_if(others, [&](uint64_t id) { return f.answers[id].ended; });
  }
  CHECK(sent > 6);  // they were served meanwhile
  CHECK(f.answers[first].done.generated_tokens == most);
  f.finish();
}

}  // namespace
}  // namespace cria::engine
