// model_speed.cpp - prompt and generation speed of a GGUF file on the cpu backend, alone in a
// process.
//
//   bench_model_speed FILE THREADS PROMPT_TOKENS GENERATED_TOKENS [REPEATS] [DEPTH] [KV_TYPE]
//   [BEST]
//
// DEPTH tokens come before both, unmeasured; KV_TYPE is f16 (the default), q8_0 or f32.
// All tokens are those of an English text, over and over, since how fast the best logits are found
// depends on what they are. BEST is how many of the best logits are asked for: 40 by default, as a
// request does whose options are the default ones; 0 asks for all. Prints one JSON object: medians
// in tokens per second. bench/compare runs it in turn with the peer.
#include "base/error.h"
#include "engine/bench_text.h"
#include "engine/vocabulary.h"
#include "models/model.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>

namespace {

using namespace cria;

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values.empty() ? 0 : values[values.size() / 2];
}

// The bench's text; models of random weights (make_model.cpp) have no tokenizer, and get any ids.
std::vector<int32_t> tokens_of(const formats::ModelFile& file, int64_t vocabulary, int64_t count) {
  try {
    return engine::bench_tokens(*text::make_tokenizer(engine::vocabulary_of(file)), count);
  } catch (const Error&) {
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(i * 7919 % vocabulary));
    return ids;
  }
}

struct Runner {
  models::LoadedModel model;
  std::unique_ptr<ml::Backend> backend = ml::make_backend("cpu");
  std::unique_ptr<ml::Plan> plan;
  std::unique_ptr<ml::KvStore> kv;
  std::vector<int32_t> pages;
  std::vector<float> logits;
  std::vector<int32_t> text;  // the token of each position
  int64_t best = 40;

  Runner(const char* path, int threads, int64_t context, ml::DType kv_type)
      : Runner(formats::open_gguf(path), threads, context, kv_type) {}
  Runner(const std::shared_ptr<const formats::ModelFile>& file, int threads, int64_t context,
         ml::DType kv_type)
      : model(models::load_model(file, 512)), text(tokens_of(*file, model.vocabulary, context)) {
    plan = backend->compile(*model.graph, {.threads = threads});
    model.kv.dtype = kv_type;
    kv = backend->allocate_kv(model.kv, context / ml::kPageTokens + 1);
    pages.resize(static_cast<size_t>(kv->pages()));
    std::iota(pages.begin(), pages.end(), 0);
    logits.resize(static_cast<size_t>(model.vocabulary));
  }

  // `count` tokens at `position`; logits of the last.
  void step(int64_t position, int64_t count) {
    const auto ids = std::span<const int32_t>(text).subspan(static_cast<size_t>(position),
                                                            static_cast<size_t>(count));
    std::vector<int32_t> positions(ids.size());
    std::iota(positions.begin(), positions.end(), static_cast<int32_t>(position));
    const auto last = static_cast<int32_t>(count - 1);
    const ml::SequenceRows rows = {
        .first_row = 0, .rows = count, .first_position = position, .pages = pages};
    plan->run({.tokens = ids,
               .positions = positions,
               .outputs = {&last, 1},
               .sequences = {&rows, 1},
               .best = best},
              *kv, logits);
  }
  void prompt(int64_t position, int64_t count) {
    for (int64_t done = 0; done < count; done += 512)
      step(position + done, std::min<int64_t>(512, count - done));
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5)
    return std::fprintf(stderr,
                        "usage: %s FILE THREADS PROMPT GENERATED [REPEATS] [DEPTH] [KV] [BEST]\n",
                        argv[0]),
           2;
  try {
    const int threads = std::atoi(argv[2]);
    const int64_t prompt = std::atoll(argv[3]), generated = std::atoll(argv[4]);
    const int repeats = argc > 5 ? std::atoi(argv[5]) : 1;
    const int64_t depth = argc > 6 ? std::atoll(argv[6]) : 0;
    const quant::DTypeInfo* kv_type = quant::find_dtype(argc > 7 ? argv[7] : "f16");
    if (kv_type == nullptr) fail(ErrorKind::kInvalidInput, "unknown KV type {}", argv[7]);
    Runner runner(argv[1], threads, depth + std::max(prompt, generated) + 64, kv_type->dtype);
    if (argc > 8) runner.best = std::atoll(argv[8]);
    runner.prompt(0, std::min<int64_t>(std::max<int64_t>(prompt, 32), 128));  // warm-up
    if (depth > 0) runner.prompt(0, depth);
    std::vector<double> prompt_speed, generate_speed;
    for (int i = 0; i < repeats; ++i) {
      double start = seconds();
      if (prompt > 0) runner.prompt(depth, prompt);
      prompt_speed.push_back(static_cast<double>(prompt) / (seconds() - start));
      start = seconds();
      for (int64_t t = 0; t < generated; ++t) runner.step(depth + t, 1);
      generate_speed.push_back(static_cast<double>(generated) / (seconds() - start));
    }
    const ml::StepCost cost = runner.plan->cost();
    std::printf(
        "{\"threads\":%d,\"depth\":%lld,\"prompt_tokens\":%lld,\"prompt_tps\":%.2f,"
        "\"generated\":%lld,\"generate_tps\":%.2f,\"weight_bytes\":%lld,\"row_ops\":%lld}\n",
        threads, static_cast<long long>(depth), static_cast<long long>(prompt),
        median(prompt_speed), static_cast<long long>(generated), median(generate_speed),
        static_cast<long long>(cost.weight_bytes), static_cast<long long>(cost.row_ops));
    return 0;
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
