// loader.h - from an open model file to something that generates: tokenizer, plan, KV memory.
#pragma once

#include "engine/sequence.h"
#include "engine/speculation.h"
#include "models/model.h"
#include "text/chat/jinja_prompt.h"
#include "text/tokenizer/tokenizer.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace cria::engine {

struct LoadSettings {
  // Of requests that do not say theirs, at most what the model was trained on; 0: that, or what the
  // memory allows.
  int64_t num_ctx = 0;
  int64_t num_batch = 512;  // most rows of a step
  int64_t parallel = 1;     // sequences at a time; 0: what the memory allows, up to 16
  int64_t kv_memory = 0;    // most bytes of KV cache; 0: by available_memory
  int threads = 1;
  std::string backend = "cpu";
  std::string kv_type = "f16";
  Speculation speculation = Speculation::kWhereItPays;
  int64_t available_memory = INT64_MAX;
  // Leave weights to the first steps (ml::CompileOptions::late_weights) where that pays: the file,
  // which is then read twice, is in the system's cache, and stays there beside the weights.
  bool late_weights = false;
  std::function<void(double)> progress;
};

// kUsualContext: of a model that does not say what it was trained on; and a model with no room for
// that many tokens, or all that it was trained on, is not loaded.
inline constexpr int64_t kUsualContext = 4096, kLeastContext = 4;
// Rows of one step: kernels gain nothing beyond it, and a step should stay short. An encoder has to
// take a longer text at once.
inline constexpr int64_t kMostRows = 256;
inline constexpr int64_t kMostTextsOfStep = 64;  // texts that are embedded together
// Of late weights, between two looks at what has come meanwhile: bytes.
inline constexpr int64_t kReadAtOnce = 64 << 20;

struct LoadedEngine {
  models::LoadedModel model;
  std::unique_ptr<const text::Tokenizer> tokenizer;
  std::unique_ptr<ml::Backend> backend;
  std::unique_ptr<ml::Plan> plan;
  std::unique_ptr<KvMemory> memory;
  int64_t context = 0;   // of a sequence, where its request does not say
  int64_t longest = 0;   // that a request may ask for
  int64_t capacity = 0;  // rows of a step
  int64_t parallel = 1;  // sequences at a time; they share the pages
  int threads = 1;
  Speculation speculation = Speculation::kWhereItPays;
  bool normalizes = true;           // vectors have length 1 even where nobody asked for it
  text::JinjaSource chat_template;  // of the file; its text may be empty

  // What a request that asks for `num_ctx` gets; 0 is the default, and more than the model was
  // trained on becomes that. Throws Error{kInvalidInput} for more than `longest`.
  int64_t context_for(int64_t num_ctx) const;
  int64_t pages_each() const { return (longest + ml::kPageTokens - 1) / ml::kPageTokens; }
};

// The KV cache is as large as the model and the memory allow: address space, that takes memory as
// its pages are used. Checks that weights and KV cache fit in available_memory before it allocates
// either. Throws Error{kOutOfMemory} with both numbers, and what the file's readers throw.
LoadedEngine load_engine(const std::shared_ptr<const formats::ModelFile>& file,
                         const LoadSettings& settings);

}  // namespace cria::engine
