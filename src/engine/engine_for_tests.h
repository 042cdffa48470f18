// engine_for_tests.h - an engine over a small real model, and what it says.
#pragma once

#include "engine/engine.h"
#include "engine/render.h"

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace cria::engine {

struct Answer {
  std::string text, failure;
  protocol::Done done;
  Json logprobs = Json::array();
  std::vector<float> vector;  // of the last text
  int64_t tokens = 0;         // that were told of
  bool ended = false;
};

inline constexpr const char* kChatml =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

// One loaded model with an engine; events are collected per request.
struct EngineFixture {
  EngineFixture(const std::filesystem::path& model, LoadSettings settings) {
    settings.threads = 2;
    loaded = load_engine(formats::open_gguf(model), settings);
    engine = std::make_unique<Engine>(
        loaded,
        [this](const protocol::Generate& request, const Fits& fits) {
          return plain ? RenderedPrompt{} : renderer(request, fits);
        },
        [this](const protocol::Event& event) { collect(event); });
  }
  void collect(const protocol::Event& event) {
    if (const auto* text = std::get_if<protocol::Text>(&event)) {
      answers[text->id].text += text->content;
      answers[text->id].tokens = text->generated_tokens;
      for (const Json& entry : text->logprobs) answers[text->id].logprobs.push_back(entry);
    } else if (const auto* vector = std::get_if<protocol::Vector>(&event)) {
      answers[vector->id].vector = vector->values;
    } else if (const auto* done = std::get_if<protocol::Done>(&event)) {
      answers[done->id].done = *done;
      answers[done->id].ended = true;
    } else if (const auto* failure = std::get_if<protocol::Failure>(&event)) {
      answers[failure->id].failure = failure->message;
      answers[failure->id].ended = true;
    }
  }
  uint64_t submit(const std::string& prompt, const char* options, bool raw = true) {
    protocol::Generate request{.id = ++last_id, .prompt = prompt, .raw = raw};
    request.options = parse_json(options);
    engine->submit(request);
    engine->wait_prepared();
    return last_id;
  }
  uint64_t embed(std::vector<std::string> texts) {
    engine->submit(protocol::Embed{.id = ++last_id, .inputs = std::move(texts)});
    engine->wait_prepared();
    return last_id;
  }
  void finish() {
    while (engine->busy()) engine->step();
  }
  Answer ask(const std::string& prompt, const char* options, bool raw = true) {
    const uint64_t id = submit(prompt, options, raw);
    finish();
    return answers[id];
  }
  int64_t held_by_requests() const {
    return loaded.memory->pool().size() - loaded.memory->pool().free() -
           loaded.memory->cache().size();
  }

  protocol::ModelText words;
  LoadedEngine loaded;
  Renderer renderer{words, {.text = kChatml, .bos = {}, .eos = {}}};
  std::unique_ptr<Engine> engine;
  std::map<uint64_t, Answer> answers;
  bool plain = false;  // an empty text instead of the rendered one
  uint64_t last_id = 0;
};

inline constexpr const char* kGreedy = R"({"temperature":0,"num_predict":24})";
inline const std::string kStory =
    "The old lighthouse keeper climbed the stairs every evening. He counted the steps, one by one, "
    "and thought of the ships that would pass in the night. The wind was strong and the sea was "
    "dark, "
    "but the lamp had never failed him in forty years. That evening, however,";

}  // namespace cria::engine
