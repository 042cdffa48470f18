// The real models on the cpu backend against references by independent engines (see
// ../shared/data/real-models/README.md for what must agree and how far).
#include "base/json.h"
#include "models/model.h"
#include "tests/skip.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <thread>

namespace cria::models {
namespace {

fs::path model_folder() {
  const char* folder = std::getenv("CRIA_TEST_MODELS");
  if (folder != nullptr) return folder;
  const char* home = std::getenv("HOME");
  return fs::path(home == nullptr ? "/" : home) / ".cache/cria-test-models";
}

// One sequence on a compiled model.
class Session {
 public:
  Session(const fs::path& path, bool float_weights, int64_t capacity,
          ml::DType cache = ml::DType::kF16)
      : model_(load_model(formats::open_gguf(path), capacity)), backend_(ml::make_backend("cpu")) {
    plan_ = backend_->compile(*model_.graph, {.threads = 2, .float_weights = float_weights});
    ml::KvLayout layout = model_.kv;
    layout.dtype = float_weights ? ml::DType::kF32 : cache;
    kv_ = backend_->allocate_kv(layout, 128);
    pages_.resize(128);
    std::iota(pages_.begin(), pages_.end(), 0);
  }

  // Logits of all rows, or of the last one only.
  std::vector<float> feed(std::span<const int32_t> ids, bool all = false, int64_t best = 0) {
    std::vector<int32_t> positions(ids.size()), outputs;
    std::iota(positions.begin(), positions.end(), static_cast<int32_t>(position_));
    if (all) {
      outputs.resize(ids.size());
      std::iota(outputs.begin(), outputs.end(), 0);
    } else {
      outputs = {static_cast<int32_t>(ids.size()) - 1};
    }
    const ml::SequenceRows rows = {.first_row = 0,
                                   .rows = static_cast<int64_t>(ids.size()),
                                   .first_position = position_,
                                   .pages = pages_};
    std::vector<float> logits(outputs.size() * static_cast<size_t>(model_.vocabulary));
    plan_->run({.tokens = ids,
                .positions = positions,
                .outputs = outputs,
                .sequences = {&rows, 1},
                .best = best},
               *kv_, logits);
    position_ += static_cast<int64_t>(ids.size());
    return logits;
  }
  void restart() { position_ = 0; }
  int64_t vocabulary() const { return model_.vocabulary; }

 private:
  LoadedModel model_;
  std::unique_ptr<ml::Backend> backend_;
  std::unique_ptr<ml::Plan> plan_;
  std::unique_ptr<ml::KvStore> kv_;
  std::vector<int32_t> pages_;
  int64_t position_ = 0;
};

double log_sum_exp(std::span<const float> logits) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x - top));
  return top + std::log(sum);
}

int32_t best(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

struct Case {
  const char* model;
  const char* golden;            // by llama.cpp, quantised and float
  const char* float_golden;      // by transformers in float32
  double first_token_tolerance;  // of log-probabilities in the float path against `golden`
};

const Json* find_golden(const Case& c, Json& storage) {
  const fs::path golden = fs::path(CRIA_SHARED_DIR) / "data/real-models" / c.golden;
  if (!fs::exists(golden) || !fs::exists(model_folder() / c.model)) {
    test::skip(std::string("needs ") + c.model + " in " + model_folder().string() + " and " +
               golden.string());
    return nullptr;
  }
  storage = parse_json(read_text_file(golden, 64 << 20));
  return &storage;
}

std::vector<int32_t> ids_of(const Json& json) {
  return json.get<std::vector<int32_t>>();
}

struct Errors {
  double largest = 0, sum = 0;
  int count = 0;
  void add(double error) {
    largest = std::max(largest, std::abs(error));
    sum += std::abs(error);
    ++count;
  }
  double mean() const { return sum / count; }
};

// Differences of the ten first log-probabilities to `truth`.
void add_first_token(Errors& errors, Session& session, const Json& prompt, const Json& truth) {
  session.restart();
  const std::vector<float> logits = session.feed(ids_of(prompt["prompt_ids"]));
  const double total = log_sum_exp(logits);
  for (const Json& row : truth["first_token_top10"])
    errors.add(logits[row["id"].get<size_t>()] - total - row["logprob"].get<double>());
}

// The same against transformers' goldens: twenty logits and their log-sum-exp for each prompt.
Errors float_golden_errors(Session& session, const Json& golden) {
  Errors errors;
  for (const Json& prompt : golden["prompts"]) {
    session.restart();
    const std::vector<int32_t> ids = ids_of(prompt["input_ids"]);
    std::vector<float> logits;
    for (size_t i = 0; i < ids.size(); i += 256)
      logits = session.feed(std::span(ids).subspan(i, std::min<size_t>(256, ids.size() - i)));
    const double total = log_sum_exp(logits);
    for (const Json& row : prompt["top20"])
      errors.add(logits[row[0].get<size_t>()] - total -
                 (row[1].get<double>() - prompt["logsumexp"].get<double>()));
  }
  return errors;
}

// Tokens that agree with the reference before the first that differs; the margin there.
std::pair<size_t, double> greedy_agreement(Session& session, const Json& prompt,
                                           const Json& truth) {
  session.restart();
  std::vector<float> logits = session.feed(ids_of(prompt["prompt_ids"]));
  const std::vector<int32_t> want = ids_of(truth["greedy_ids"]);
  for (size_t i = 0; i < want.size(); ++i) {
    const int32_t got = best(logits);
    if (got != want[i])
      return {i, static_cast<double>(logits[static_cast<size_t>(got)]) -
                     static_cast<double>(logits[static_cast<size_t>(want[i])])};
    logits = session.feed(std::span(&got, 1));
  }
  return {want.size(), 0};
}

double perplexity(Session& session, const Json& golden) {
  session.restart();
  const std::vector<int32_t> ids = ids_of(golden["perplexity"]["ids"]);
  const auto vocabulary = static_cast<size_t>(session.vocabulary());
  double nll = 0;
  for (size_t start = 0; start < ids.size(); start += 256) {
    const size_t count = std::min<size_t>(256, ids.size() - start);
    const std::vector<float> logits = session.feed(std::span(ids).subspan(start, count), true);
    for (size_t i = 0; i < count && start + i + 1 < ids.size(); ++i) {
      const auto row = std::span(logits).subspan(i * vocabulary, vocabulary);
      nll += log_sum_exp(row) - static_cast<double>(row[static_cast<size_t>(ids[start + i + 1])]);
    }
  }
  return std::exp(nll / static_cast<double>(ids.size() - 1));
}

// llama.cpp rounds Gemma's GELU through a table of halves even in its float run, so there the
// tolerance is wider; transformers computes it exactly.
constexpr Case kCases[] = {
    {"SmolLM2-135M-Instruct.Q4_1.gguf", "llamacpp-smollm2-135m-q4_1.json",
     "smollm2-135m-instruct-q4_1.json", 1e-3},
    {"gemma-3-270m-q4_k_m.gguf", "llamacpp-gemma3-270m-q4_k_m.json", "gemma-3-270m-q4_k_m.json",
     1e-2},
};

TEST_CASE("the float path meets the references on real models") {
  for (const Case& c : kCases) {
    Json storage;
    const Json* golden = find_golden(c, storage);
    if (golden == nullptr) continue;
    CAPTURE(std::string(c.model));
    Session session(model_folder() / c.model, true, 256);
    for (const Json& prompt : (*golden)["greedy"]) {
      CAPTURE(prompt["prompt"].get<std::string>());
      Errors errors;
      add_first_token(errors, session, prompt, prompt["f32"]);
      CHECK(errors.largest < c.first_token_tolerance);
      const auto [agreed, margin] = greedy_agreement(session, prompt, prompt["f32"]);
      if (agreed < prompt["f32"]["greedy_ids"].size()) CHECK(margin < 0.05);
    }
    const Json exact = parse_json(
        read_text_file(fs::path(CRIA_SHARED_DIR) / "data/real-models" / c.float_golden, 64 << 20));
    CHECK(float_golden_errors(session, exact).largest < 1e-3);
    const double want = (*golden)["perplexity"]["f32"]["ppl"];
    CHECK(perplexity(session, *golden) == doctest::Approx(want).epsilon(1e-4));
  }
}

// What the peer's quantised run differs from its float run, for ids that both list.
Errors peer_errors(const Json& golden) {
  Errors errors;
  for (const Json& prompt : golden["greedy"])
    for (const Json& row : prompt["quantised"]["first_token_top10"])
      for (const Json& truth : prompt["f32"]["first_token_top10"])
        if (row["id"] == truth["id"])
          errors.add(row["logprob"].get<double>() - truth["logprob"].get<double>());
  return errors;
}

TEST_CASE("the fast path is as close to the float reference as the peer's quantised run") {
  for (const Case& c : kCases) {
    Json storage;
    const Json* golden = find_golden(c, storage);
    if (golden == nullptr) continue;
    CAPTURE(std::string(c.model));
    Session session(model_folder() / c.model, false, 256);
    Errors ours;
    for (const Json& prompt : (*golden)["greedy"])
      add_first_token(ours, session, prompt, prompt["f32"]);
    const Errors theirs = peer_errors(*golden);
    MESSAGE(std::string(c.model), ": mean log-probability error ", ours.mean(), ", the peer's ",
            theirs.mean());
    CHECK(ours.mean() <= theirs.mean());  // every kernel set gives these very bits
    const double want = (*golden)["perplexity"]["f32"]["ppl"], got = perplexity(session, *golden);
    MESSAGE(std::string(c.model), ": perplexity ", got, ", float reference ", want, ", the peer's ",
            (*golden)["perplexity"]["quantised"]["ppl"].get<double>());
    CHECK(got == doctest::Approx(want).epsilon(5e-3));
  }
}

TEST_CASE("the 64 best logits of a real text, token by token, are those of all logits at once") {
  Json storage;
  const Json* golden = find_golden(kCases[1], storage);  // whose head is in two planes
  if (golden == nullptr) return;
  Session session(model_folder() / kCases[1].model, false, 256);
  const std::vector<int32_t> text = ids_of((*golden)["perplexity"]["ids"]);
  const auto ids = std::span(text).first(std::min<size_t>(text.size(), 256));
  const std::vector<float> all = session.feed(ids, true);
  session.restart();
  const auto vocabulary = static_cast<size_t>(session.vocabulary());
  size_t excluded = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    const std::vector<float> some = session.feed(ids.subspan(i, 1), false, 64);
    const auto want = std::span(all).subspan(i * vocabulary, vocabulary);
    std::vector<float> sorted(want.begin(), want.end());
    std::ranges::nth_element(sorted, sorted.begin() + 63, std::greater());
    int wrong = 0;
    for (size_t id = 0; id < vocabulary; ++id) {
      wrong += some[id] != want[id] && (want[id] >= sorted[63] || std::isfinite(some[id]));
      excluded += std::isinf(some[id]);
    }
    CHECK(wrong == 0);
  }
  CHECK(excluded > ids.size() * vocabulary / 2);  // mostly the search found them
}

TEST_CASE("a KV cache in q8_0 costs less than half a percent of perplexity") {
  for (const Case& c : kCases) {
    Json storage;
    const Json* golden = find_golden(c, storage);
    if (golden == nullptr) continue;
    CAPTURE(std::string(c.model));
    Session half(model_folder() / c.model, false, 256);
    Session small(model_folder() / c.model, false, 256, ml::DType::kQ8_0);
    const double want = perplexity(half, *golden), got = perplexity(small, *golden);
    MESSAGE(std::string(c.model), ": perplexity with the cache in q8_0 ", got, ", in f16 ", want);
    CHECK(got == doctest::Approx(want).epsilon(5e-3));
  }
}

}  // namespace
}  // namespace cria::models
