// When guesses are verified; and that answers with and without them are the same, on small real
// models. Without the models' files only the first part is tested; a MESSAGE line says so.
#include "engine/speculation.h"

#include "base/error.h"
#include "engine/engine.h"
#include "tests/skip.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <map>

namespace cria::engine {
namespace {

std::vector<Guess> guesses_of(double rate, int64_t count) {
  std::vector<Guess> out;
  double probability = 1;
  for (int64_t i = 0; i < count; ++i) out.push_back({1, probability *= rate});
  return out;
}

int64_t share_one(const std::vector<Guess>& guesses, const StepCosts& costs, int64_t budget = 100) {
  const std::span<const Guess> one(guesses);
  return share_guesses({&one, 1}, costs, budget)[0];
}

// Costs of a machine where a step of n rows takes 1 + slope * (n - 1), measured for long.
StepCosts costs_of(double slope) {
  StepCosts costs;
  for (int i = 0; i < 40; ++i)
    for (int64_t rows = 1; rows <= 17; ++rows)
      costs.record(rows, 1, 0.010 * (1 + slope * static_cast<double>(rows - 1)));
  return costs;
}

TEST_CASE("nothing is guessed before a plain step was measured") {
  StepCosts costs;
  CHECK(share_one(guesses_of(0.99, 15), costs) == 0);
  costs.record(1, 1, 0.01);
  CHECK(share_one(guesses_of(0.99, 15), costs) > 0);
}

TEST_CASE("as many guesses are verified as give most tokens per time") {
  const StepCosts cheap = costs_of(0.02), usual = costs_of(0.2), dear = costs_of(1.0);
  CHECK(share_one(guesses_of(1.0, 15), cheap) == 15);
  CHECK(share_one(guesses_of(1.0, 15), cheap, 6) == 6);
  CHECK(share_one(guesses_of(0.9, 15), usual) > 3);
  CHECK(share_one(guesses_of(0.9, 15), usual) < 12);
  CHECK(share_one(guesses_of(0.4, 15), usual) == 1);
  CHECK(share_one(guesses_of(0.2, 15), usual) == 0);
  CHECK(share_one(guesses_of(1.0, 15), dear) == 0);
}

TEST_CASE("what is not measured is taken from the nearest number of rows that is") {
  StepCosts costs;
  costs.record(1, 1, 0.01);
  const double assumed = costs.of(9, 1);
  for (int i = 0; i < 50; ++i) costs.record(5, 1, 0.03);
  CHECK(costs.of(5, 1) == doctest::Approx(3).epsilon(0.01));
  CHECK(costs.of(9, 1) == doctest::Approx(5).epsilon(0.01));
  CHECK(costs.of(9, 1) > assumed);
}

TEST_CASE("one interrupted step changes little, and dear rows are tried again after long") {
  StepCosts costs = costs_of(0.1);
  costs.record(8, 1, 1.0);
  CHECK(costs.of(8, 1) < 2.0);
  costs = costs_of(1.0);
  for (int i = 0; i < 1000; ++i) costs.record(1, 1, 0.010);
  CHECK(share_one(guesses_of(1.0, 15), costs) == 0);
  for (int i = 0; i < 100; ++i) costs.record(1, 1, 0.010);
  CHECK(share_one(guesses_of(1.0, 15), costs) > 0);
}

TEST_CASE("steps with guesses are compared with plain steps of late") {
  StepCosts costs = costs_of(0.1);
  costs.record(1, 1, 0.010);
  for (int i = 0; i < 63; ++i) {
    REQUIRE(share_one(guesses_of(1.0, 15), costs) > 0);
    costs.record(16, 1, 0.025);
  }
  costs.record(16, 1, 0.025);
  CHECK(share_one(guesses_of(1.0, 15), costs) == 0);
  // A longer past makes both dearer.
  for (int i = 0; i < 50; ++i) costs.record(1, 1, 0.020);
  CHECK(costs.of(16, 1) == doctest::Approx(2.5).epsilon(0.05));
}

TEST_CASE("with company the step stays short, and the likeliest guesses go first") {
  const StepCosts single = costs_of(0.1);
  StepCosts costs = single;
  costs.record(3, 3, 0.012);
  const std::vector<Guess> good = guesses_of(0.95, 15), poor = guesses_of(0.6, 15);
  const std::vector<std::span<const Guess>> three = {poor, {}, good};
  const std::vector<int64_t> shares = share_guesses(three, costs, 100);
  CHECK(shares[1] == 0);
  CHECK(shares[2] > shares[0]);
  const int64_t rows = 3 + shares[0] + shares[2];
  CHECK(rows > 3);
  CHECK(costs.of(rows, 3) <= 1.25);
  const std::vector<std::span<const Guess>> two = {poor, good};
  CHECK(share_all_guesses(two, 100) == std::vector<int64_t>{15, 15});
  CHECK(share_all_guesses(two, 20) == std::vector<int64_t>{15, 5});
}

// ---- answers ----

fs::path model_file(const char* name) {
  const char* folder = std::getenv("CRIA_TEST_MODELS");
  const char* home = std::getenv("HOME");
  return (folder != nullptr ? fs::path(folder)
                            : fs::path(home == nullptr ? "/" : home) / ".cache/cria-test-models") /
         name;
}

bool have(const fs::path& file) {
  if (fs::exists(file)) return true;
  test::skip("no " + file.string() + "; set CRIA_TEST_MODELS");
  return false;
}

constexpr const char* kSmall = "SmolLM2-135M-Instruct.Q4_1.gguf";
constexpr const char* kWindowed = "gemma-3-270m-q4_k_m.gguf";  // most layers see 512 positions

struct Answer {
  std::string text, failure;
  protocol::Done done;
  Json logprobs = Json::array();
  bool operator==(const Answer& other) const {
    return text == other.text && failure == other.failure && logprobs == other.logprobs &&
           done.reason == other.done.reason && done.prompt_tokens == other.done.prompt_tokens &&
           done.generated_tokens == other.done.generated_tokens &&
           done.context == other.done.context;
  }
};

// A model of its own, so that its prefix cache holds what its own requests have published.
struct Side {
  Side(const char* file, LoadSettings settings, Speculation speculation) {
    settings.threads = 2;
    settings.speculation = speculation;
    loaded = load_engine(formats::open_gguf(model_file(file)), settings);
    engine = std::make_unique<Engine>(
        loaded,
        [](const protocol::Generate& request, const Fits&) {
          return RenderedPrompt{.text = request.prompt, .parser = {}};
        },
        [this](const protocol::Event& event) { collect(event); });
  }
  void collect(const protocol::Event& event) {
    if (const auto* text = std::get_if<protocol::Text>(&event)) {
      answers[text->id].text += text->content;
      for (const Json& entry : text->logprobs) answers[text->id].logprobs.push_back(entry);
    } else if (const auto* done = std::get_if<protocol::Done>(&event)) {
      answers[done->id].done = *done;
      guessed += done->guessed_tokens;
      right += done->right_guesses;
    } else if (const auto* failure = std::get_if<protocol::Failure>(&event)) {
      answers[failure->id].failure = failure->message;
    }
  }
  void finish() {
    while (engine->busy()) engine->step();
  }
  Answer ask(protocol::Generate request) {
    request.id = ++last_id;
    engine->submit(request);
    finish();
    return answers[last_id];
  }
  int64_t held_by_requests() const {
    return loaded.memory->pool().size() - loaded.memory->pool().free() -
           loaded.memory->cache().size();
  }

  LoadedEngine loaded;
  std::unique_ptr<Engine> engine;
  std::map<uint64_t, Answer> answers;
  uint64_t last_id = 0;
  int64_t guessed = 0, right = 0;
};

const std::string kList =
    "red apple, green pear, yellow plum, red apple, green pear, yellow plum, red apple, green";
const std::string kStory =
    "The old keeper climbed the stairs. The old keeper counted the steps, and the old keeper said:";

protocol::Generate request_of(const std::string& prompt, const char* options) {
  protocol::Generate out{.prompt = prompt};
  out.options = parse_json(options);
  return out;
}

std::vector<protocol::Generate> requests() {
  std::vector<protocol::Generate> out;
  for (const std::string& prompt : {kList, kStory})
    for (const char* options :
         {R"({"temperature":0,"num_predict":20})",
          R"({"temperature":0.8,"seed":7,"num_predict":20})",
          R"({"temperature":0.6,"seed":8,"num_predict":20,"top_k":0,"top_p":0.95,"min_p":0.02})",
          R"({"temperature":1.2,"seed":9,"num_predict":30,"typical_p":0.8})",
          R"({"temperature":0.3,"seed":10,"num_predict":20,"repeat_penalty":1.2,"repeat_last_n":16,
              "presence_penalty":0.3,"frequency_penalty":0.1})",
          R"({"temperature":0,"num_predict":20,"stop":["plum, red","steps"]})",
          R"({"temperature":0,"num_predict":3})", R"({"temperature":0,"num_predict":1})",
          R"({"temperature":0,"num_predict":0})"})
      out.push_back(request_of(prompt, options));
  for (const char* options : {R"({"temperature":0,"num_predict":20})",
                              R"({"temperature":0.8,"seed":11,"num_predict":20})"}) {
    protocol::Generate scored = request_of(kList, options);
    scored.logprobs = true;
    scored.top_logprobs = 3;
    out.push_back(scored);
  }
  return out;
}

TEST_CASE("answers are the same with guesses and without, alone and in company") {
  if (!have(model_file(kSmall))) return;
  Side plain(kSmall, {.num_ctx = 256}, Speculation::kOff);
  std::vector<Answer> expected;
  for (const protocol::Generate& request : requests()) expected.push_back(plain.ask(request));
  CHECK(plain.guessed == 0);
  Side alone(kSmall, {.num_ctx = 256}, Speculation::kAlways);
  Side gated(kSmall, {.num_ctx = 256}, Speculation::kWhereItPays);
  for (size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    const Answer answer = alone.ask(requests()[i]);
    CHECK(answer == expected[i]);
    CHECK(answer.done.cached_tokens == expected[i].done.cached_tokens);
    if (i < 5) CHECK(gated.ask(requests()[i]) == expected[i]);
  }
  CHECK(alone.held_by_requests() == 0);
  CHECK(alone.right > 30);
  CHECK(alone.guessed > alone.right + 30);  // some were wrong
  Side company(kSmall, {.num_ctx = 256, .num_batch = 24, .parallel = 4}, Speculation::kAlways);
  uint64_t id = 0;
  for (protocol::Generate request : requests()) {
    request.id = ++id;
    company.engine->submit(request);
  }
  company.finish();
  for (size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    CHECK(company.answers[i + 1] == expected[i]);
  }
  CHECK(company.right > 30);
  CHECK(company.held_by_requests() == 0);
}

TEST_CASE("guesses end with the context, and go on after a shift") {
  if (!have(model_file(kSmall))) return;
  Side plain(kSmall, {.num_ctx = 64}, Speculation::kOff);
  Side guessing(kSmall, {.num_ctx = 64}, Speculation::kAlways);
  for (const bool shift : {true, false}) {
    for (const char* options : {R"({"temperature":0,"num_predict":70})",
                                R"({"temperature":0.7,"seed":3,"num_predict":60})",
                                R"({"temperature":0,"num_predict":-2})"}) {
      protocol::Generate request = request_of(kList, options);
      request.shift = shift;
      CHECK(guessing.ask(request) == plain.ask(request));
    }
  }
  CHECK(guessing.right > 20);
  CHECK(guessing.held_by_requests() == 0);
}

TEST_CASE("what was rejected is never found in the prefix cache") {
  if (!have(model_file(kSmall))) return;
  Side guessing(kSmall, {.num_ctx = 256}, Speculation::kAlways);
  const Answer first =
      guessing.ask(request_of(kStory, R"({"temperature":1.5,"seed":5,"num_predict":60})"));
  CHECK(first.done.guessed_tokens > first.done.right_guesses);
  protocol::Generate next = request_of(" And then", R"({"temperature":0,"num_predict":20})");
  next.context = first.done.context;
  Side cold(kSmall, {.num_ctx = 256}, Speculation::kOff);
  const Answer warm = guessing.ask(next);
  CHECK(warm.done.cached_tokens > first.done.prompt_tokens + 50);
  CHECK(warm == cold.ask(next));
}

TEST_CASE("a request that is cancelled among guesses gives its pages back") {
  if (!have(model_file(kSmall))) return;
  Side guessing(kSmall, {.num_ctx = 128, .parallel = 2}, Speculation::kAlways);
  for (const uint64_t id : {uint64_t{1}, uint64_t{2}}) {
    protocol::Generate request = request_of(kList, R"({"temperature":0,"num_predict":60})");
    request.id = id;
    guessing.engine->submit(request);
  }
  for (int i = 0; i < 4; ++i) guessing.engine->step();
  guessing.engine->cancel(1);
  guessing.finish();
  CHECK(guessing.answers[1].failure == "the request was cancelled");
  CHECK(guessing.answers[2].done.generated_tokens == 60);
  CHECK(guessing.held_by_requests() == 0);
}

TEST_CASE("guesses see no more through a sliding window than plain steps do") {
  if (!have(model_file(kWindowed))) return;
  std::string prompt;  // longer than the window
  for (int i = 0; i < 60; ++i) prompt += "red apple, green pear, yellow plum, ";
  Side plain(kWindowed, {.num_ctx = 1024}, Speculation::kOff);
  Side guessing(kWindowed, {.num_ctx = 1024}, Speculation::kAlways);
  const auto request = request_of(prompt, R"({"temperature":0.3,"seed":4,"num_predict":32})");
  const Answer answer = guessing.ask(request);
  CHECK(answer.done.prompt_tokens > 512);
  CHECK(answer.done.right_guesses > 5);
  CHECK(answer == plain.ask(request));
}

}  // namespace
}  // namespace cria::engine
