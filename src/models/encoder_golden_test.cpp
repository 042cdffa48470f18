// Encoders against vectors that transformers computed in float32: a tiny random BERT on every
// backend, and all-MiniLM-L6-v2 where its files are.

#include "base/json.h"
#include "models/convert.h"
#include "models/session_for_tests.h"
#include "tests/skip.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <string>

namespace cria::models {
namespace {

const fs::path kData = fs::path(CRIA_SHARED_DIR) / "data";

// With `exact`, tensors keep the type of the checkpoint.
std::shared_ptr<const formats::ModelFile> converted(const fs::path& folder, bool exact) {
  static int number = 0;
  Conversion conversion = convert(parse_json(read_text_file(folder / "config.json", 1 << 20)),
                                  formats::open_safetensors(folder / "model.safetensors"));
  for (ConvertedTensor& tensor : conversion.tensors)
    if (exact) tensor.dtype = tensor.source->dtype;
  const fs::path path =
      fs::temp_directory_path() / fmt::format("cria-encoder-{}-{}.gguf", ::getpid(), number++);
  formats::write_gguf(path, conversion.metadata, new_tensors(conversion));
  const auto file = File::open(path);
  fs::remove(path);
  return formats::open_gguf(file);
}

using Floats = std::vector<float>;

Floats mean_of(const Floats& rows, size_t width) {
  std::vector<double> sums(width);
  for (size_t i = 0; i < rows.size(); ++i) sums[i % width] += double{rows[i]};
  Floats out;
  const auto count = static_cast<double>(rows.size() / width);
  for (const double sum : sums) out.push_back(static_cast<float>(sum / count));
  return out;
}

float largest_difference(std::span<const float> a, std::span<const float> b) {
  REQUIRE(a.size() == b.size());
  float largest = 0;
  for (size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, std::isfinite(a[i]) ? std::abs(a[i] - b[i]) : INFINITY);
  return largest;
}

double cosine(std::span<const float> a, std::span<const float> b) {
  double product = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    product += double{a[i]} * double{b[i]};
    aa += double{a[i]} * double{a[i]};
    bb += double{b[i]} * double{b[i]};
  }
  return product / std::sqrt(aa * bb);
}

}  // namespace

TEST_CASE("a tiny BERT gives the vectors of transformers on every backend") {
  const fs::path folder = kData / "tiny-models/bert";
  if (!fs::exists(folder)) return test::skip("no tiny models at " + folder.string());
  const auto file = converted(folder, true);
  const Json golden = parse_json(read_text_file(folder / "golden.json", 1 << 22));
  for (const std::string_view backend : ml::backend_names()) {
    CAPTURE(std::string(backend));
    for (const Json& prompt : golden["prompts"]) {
      TestSession session(file, {.backend = backend, .capacity = 256, .float_weights = false});
      CHECK_FALSE(session.model().causal);
      CHECK(session.model().result == Result::kHidden);
      CHECK(session.model().pooling == Pooling::kMean);
      const auto ids = prompt["input_ids"].get<std::vector<int32_t>>();
      const Floats rows = session.append(ids, ids.size());
      const size_t width = rows.size() / ids.size();
      CAPTURE(ids.size());
      CHECK(largest_difference(mean_of(rows, width), prompt["mean_pooled"].get<Floats>()) < 2e-5f);
      CHECK(largest_difference(std::span(rows).first(width), prompt["cls"].get<Floats>()) < 5e-5f);
      CHECK(largest_difference(std::span(rows).last(width), prompt["last"].get<Floats>()) < 5e-5f);
    }
  }
}

TEST_CASE("a tiny cross-encoder gives the scores of transformers on every backend") {
  const fs::path folder = kData / "tiny-models/bert-reranker";
  if (!fs::exists(folder)) return test::skip("no tiny models at " + folder.string());
  const auto file = converted(folder, true);
  const Json golden = parse_json(read_text_file(folder / "golden.json", 1 << 22));
  for (const std::string_view backend : ml::backend_names()) {
    CAPTURE(std::string(backend));
    TestSession session(file, {.backend = backend, .capacity = 256, .float_weights = false});
    CHECK(session.model().result == Result::kScore);
    CHECK(session.model().result_width() == 1);
    CHECK(session.model().segments == 2);
    for (const Json& pair : golden["pairs"]) {
      const auto ids = pair["input_ids"].get<std::vector<int32_t>>();
      CAPTURE(ids.size());
      const auto score = [&](std::vector<int32_t> segments) {
        session.rewind(0);
        session.set_segments(std::move(segments));
        return session.append(ids, ids.size()).front();  // of the first token
      };
      const float wanted = pair["score"][0].get<float>();
      CHECK(std::abs(score(pair["token_type_ids"].get<std::vector<int32_t>>()) - wanted) < 2e-4f);
      CHECK(std::abs(score({}) - wanted) > 2e-3f);  // the second text's segment is of consequence
    }
  }
}

TEST_CASE("a classifier of several labels, or a head without its tensor, is refused by name") {
  const fs::path folder = kData / "tiny-models/bert-reranker";
  if (!fs::exists(folder)) return test::skip("no tiny models at " + folder.string());
  Json config = parse_json(read_text_file(folder / "config.json", 1 << 20));
  const auto checkpoint = formats::open_safetensors(folder / "model.safetensors");
  config["id2label"]["1"] = "LABEL_1";
  CHECK_THROWS_WITH(
      convert(config, checkpoint),
      "this classifier has 2 labels; only cross-encoders, which have one, can be converted");
  config.erase("id2label");
  CHECK_THROWS(convert(config, checkpoint));
}

TEST_CASE("all-MiniLM-L6-v2 gives the sentence vectors of transformers") {
  const char* models = std::getenv("CRIA_TEST_MODELS");
  const char* home = std::getenv("HOME");
  const fs::path folder =
      (models != nullptr ? fs::path(models)
                         : fs::path(home == nullptr ? "/" : home) / ".cache/cria-test-models") /
      "all-MiniLM-L6-v2";
  if (!fs::exists(folder / "model.safetensors"))
    return test::skip("no " + folder.string() + "; tools/fetch_models.py minilm fetches it");
  const Json golden = parse_json(read_text_file(kData / "real-models/minilm.json", 1 << 22));
  for (const bool exact : {true, false}) {
    CAPTURE(exact);
    const auto file = converted(folder, exact);
    TestSession session(file, {.backend = "cpu", .capacity = 256, .float_weights = false});
    for (const Json& text : golden["texts"]) {
      const auto ids = text["input_ids"].get<std::vector<int32_t>>();
      CAPTURE(ids.size());
      session.rewind(0);
      const Floats rows = session.append(ids, ids.size());
      const Floats mine = mean_of(rows, rows.size() / ids.size());
      CHECK(1 - cosine(mine, text["embedding"].get<Floats>()) < (exact ? 1e-6 : 1e-4));
    }
  }
}

}  // namespace cria::models
