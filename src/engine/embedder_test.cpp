// Embedding on a small real decoder; encoders and their vectors are in tests/server and models/.
#include "engine/embedder.h"

#include "base/error.h"
#include "tests/skip.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>

namespace cria::engine {
namespace {

fs::path test_model() {
  const char* folder = std::getenv("CRIA_TEST_MODELS");
  const char* home = std::getenv("HOME");
  return (folder != nullptr ? fs::path(folder)
                            : fs::path(home == nullptr ? "/" : home) / ".cache/cria-test-models") /
         "SmolLM2-135M-Instruct.Q4_1.gguf";
}

bool have_model() {
  if (fs::exists(test_model())) return true;
  test::skip("no " + test_model().string() + "; set CRIA_TEST_MODELS");
  return false;
}

struct Answer {
  std::map<int64_t, std::vector<float>> vectors;
  std::string failure;
  int64_t tokens = -1;
  std::map<int64_t, int64_t> truncated;  // of inputs
  int64_t all_truncated = 0;
};

struct Fixture {
  explicit Fixture(LoadSettings settings) {
    settings.threads = 2;
    loaded = load_engine(formats::open_gguf(test_model()), settings);
    embedder = std::make_unique<Embedder>(loaded,
                                          [this](const protocol::Event& event) { collect(event); });
    preparer = std::make_unique<Preparer>(loaded, Render());
  }
  void collect(const protocol::Event& event) {
    if (const auto* vector = std::get_if<protocol::Vector>(&event)) {
      answers[vector->id].vectors[vector->index] = vector->values;
      answers[vector->id].truncated[vector->index] = vector->truncated_tokens;
    } else if (const auto* done = std::get_if<protocol::Done>(&event)) {
      answers[done->id].tokens = done->prompt_tokens;
      answers[done->id].all_truncated = done->truncated.tokens;
    } else if (const auto* failure = std::get_if<protocol::Failure>(&event)) {
      answers[failure->id].failure = failure->message;
    }
  }
  uint64_t submit(protocol::Embed request) {
    request.id = ++last_id;
    Prepared prepared = (*preparer)(std::move(request), [] { return false; });
    if (auto* texts = std::get_if<PreparedTexts>(&prepared))
      embedder->submit(std::move(*texts));
    else
      collect(std::get<protocol::Event>(prepared));
    return last_id;
  }
  Answer ask(protocol::Embed request) {
    const uint64_t id = submit(std::move(request));
    finish();
    return answers[id];
  }
  void finish() {
    while (embedder->busy()) embedder->step();
    CHECK(loaded.memory->pool().free() == loaded.memory->pool().size());
  }

  LoadedEngine loaded;
  std::unique_ptr<Embedder> embedder;
  std::unique_ptr<Preparer> preparer;
  std::map<uint64_t, Answer> answers;
  uint64_t last_id = 0;
};

std::string words(int count) {
  std::string text = "It begins";
  for (int i = 0; i < count; ++i) text += i % 3 == 0 ? " and goes" : " on";
  return text;
}

TEST_CASE("a text's vector is the same alone, among a hundred, and over several steps") {
  if (!have_model()) return;
  Fixture fixture({.num_ctx = 512});
  std::vector<std::string> texts;
  for (int i = 0; i < 100; ++i) texts.push_back(std::to_string(i) + words(i % 50));
  texts[7] = words(300);  // longer than a step
  const Answer together = fixture.ask({.inputs = texts});
  REQUIRE(together.vectors.size() == 100);
  int64_t tokens = 0;
  for (const int64_t i : {0, 7, 50, 99}) {
    const Answer alone = fixture.ask({.inputs = {texts[static_cast<size_t>(i)]}});
    CHECK(alone.vectors.at(0) == together.vectors.at(i));
  }
  for (const std::string& text : texts)
    tokens += std::ssize(fixture.loaded.tokenizer->encode(text, {}));
  CHECK(together.tokens == tokens);
  Fixture narrow({.num_ctx = 512, .num_batch = 3});
  CHECK(narrow.ask({.inputs = {texts[7]}}).vectors.at(0) == together.vectors.at(7));
  double squares = 0;
  for (const float value : together.vectors.at(7)) squares += double{value} * double{value};
  CHECK(squares == doctest::Approx(1.0));
}

TEST_CASE("requests share the steps, and one that fails or is cancelled leaves the others alone") {
  if (!have_model()) return;
  Fixture fixture({.num_ctx = 512});
  const std::vector<float> wanted = fixture.ask({.inputs = {"quiet"}}).vectors.at(0);
  const uint64_t big = fixture.submit({.inputs = std::vector<std::string>(2000, words(30))});
  const uint64_t bad = fixture.submit({.inputs = {"fine", words(600)}, .truncate = false});
  const uint64_t small = fixture.submit({.inputs = {"quiet"}});
  fixture.embedder->step();
  fixture.embedder->step();
  CHECK(fixture.answers[small].vectors.at(0) == wanted);  // before the big one, though later
  CHECK(fixture.answers[bad].failure.starts_with("the input length exceeds the context length: "));
  CHECK(fixture.embedder->cancel(big));
  CHECK_FALSE(fixture.embedder->cancel(big));
  CHECK_FALSE(fixture.embedder->busy());
  CHECK(fixture.answers[big].failure == "the request was cancelled");
  fixture.finish();
}

TEST_CASE("what is too long loses its end, and is told which and how much") {
  if (!have_model()) return;
  Fixture fixture({.num_ctx = 32});
  const int64_t length = std::ssize(fixture.loaded.tokenizer->encode(words(200), {}));
  const Answer cut = fixture.ask({.inputs = {words(200)}});
  CHECK(cut.tokens == 32);
  CHECK(cut.vectors.at(0).size() == 576);
  CHECK(fixture.ask({.inputs = {words(2), words(200)}}).truncated ==
        std::map<int64_t, int64_t>{{0, 0}, {1, length - 32}});
  CHECK(fixture.ask({.inputs = {words(200), words(200)}}).all_truncated == 2 * (length - 32));
}

TEST_CASE("an empty text without tokens of its own, and a rank that is asked for, say so") {
  if (!have_model()) return;
  Fixture fixture({.num_ctx = 32});
  CHECK(fixture.ask({.inputs = {"a", ""}}).failure ==
        "an input is empty, and this model adds no tokens of its own");
  CHECK(fixture.ask({.inputs = {}}).tokens == 0);
  CHECK(fixture.ask({.inputs = {"a"}, .query = "b"}).failure ==
        "this model embeds single texts; it does not rank pairs");
}

}  // namespace
}  // namespace cria::engine
