// Tiny random checkpoints, converted and run, against logits that transformers computed in float32.

#include "base/json.h"
#include "ml/reference/ops.h"
#include "models/convert.h"
#include "models/decoder.h"
#include "models/model.h"
#include "models/session_for_tests.h"
#include "quant/half.h"
#include "tests/skip.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <map>
#include <string>

namespace cria::models {
namespace {

// Tolerances are absolute, on logits of magnitude 5 to 30: both sides compute in float32 and differ
// only in the order of sums. The reference had cast its rope frequencies to the type of the weights
// (with_reference_frequencies); Gemma's two sets cannot be told to the model, hence its wider
// limit: the real model in real_model_test.cpp is held to 1e-3.
struct Case {
  std::string name;
  float tolerance;
};
const std::array kCases = {
    Case{"llama", 1e-4f},       Case{"llama-256", 1e-3f},   Case{"llama-tied-bias", 1e-4f},
    Case{"llama3-rope", 1e-4f}, Case{"mistral-swa", 1e-4f}, Case{"smollm3", 1e-4f},
    Case{"qwen2", 1e-4f},       Case{"qwen2-yarn", 1e-4f},  Case{"qwen3", 1e-4f},
    Case{"gemma3", 1e-2f},
};

const fs::path kModels = fs::path(CRIA_SHARED_DIR) / "data/tiny-models";

bool models_present() {
  if (fs::exists(kModels)) return true;
  test::skip("no tiny models at " + kModels.string());
  return false;
}

// The conversion written as GGUF and opened again; the file is already unlinked.
std::shared_ptr<const formats::ModelFile> written(const Conversion& conversion) {
  static int number = 0;
  const fs::path path =
      fs::temp_directory_path() / fmt::format("cria-golden-{}-{}.gguf", ::getpid(), number++);
  formats::write_gguf(path, conversion.metadata, new_tensors(conversion));
  const auto file = File::open(path);
  fs::remove(path);
  return formats::open_gguf(file);
}

Json golden_of(const std::string& name) {
  return parse_json(read_text_file(kModels / name / "golden.json", 1 << 22));
}

// Radians per position of every pair, read off the oracle: pairs (1, 0) turned by one position.
std::vector<float> frequencies(const ml::RopeSpec& spec, std::span<const float> factors) {
  std::vector<float> head(static_cast<size_t>(spec.dims), 0.0f), out;
  const size_t half = head.size() / 2;
  std::fill_n(head.begin(), half, 1.0f);
  ml::reference::rotate(head, spec.dims, {spec, factors, 1.0, 1.0});
  for (size_t i = 0; i < half; ++i) out.push_back(std::atan2(head[half + i], head[i]));
  return out;
}

// Adds the rope factors that turn our frequencies into those of the reference, which were rounded
// to the type of the weights.
void with_reference_frequencies(Conversion& conversion, const std::string& weights_dtype) {
  const auto file = written(conversion);
  const Metadata metadata(*file);
  if (metadata.architecture() == "gemma3") return;
  const ml::RopeSpec spec =
      rope_spec(metadata, metadata.size("rope.dimension_count"), ml::RopeLayout::kHalves);
  std::vector<float> factors(static_cast<size_t>(spec.dims / 2), 1.0f);
  std::erase_if(conversion.tensors, [&](const ConvertedTensor& tensor) {
    if (tensor.name != "rope_freqs.weight") return false;
    factors = tensor.values;
    return true;
  });
  const std::vector<float> exact = frequencies(spec, factors);
  for (size_t i = 0; i < exact.size(); ++i) {
    const float rounded = weights_dtype == "f16"
                              ? quant::half_to_float(quant::float_to_half(exact[i]))
                              : quant::bfloat_to_float(quant::float_to_bfloat(exact[i]));
    factors[i] *= exact[i] / rounded;
  }
  conversion.tensors.push_back(
      {.name = "rope_freqs.weight", .shape = {spec.dims / 2, 1, 1, 1}, .values = factors});
}

std::shared_ptr<const formats::ModelFile> converted(const std::string& name) {
  const Json config = parse_json(read_text_file(kModels / name / "config.json", 1 << 20));
  Conversion conversion =
      convert(config, formats::open_safetensors(kModels / name / "model.safetensors"));
  with_reference_frequencies(conversion, golden_of(name)["weights_dtype"].get<std::string>());
  return written(conversion);
}

std::vector<std::vector<float>> matrix(const Json& rows) {
  std::vector<std::vector<float>> out;
  for (const Json& row : rows) out.push_back(row.get<std::vector<float>>());
  return out;
}

float largest_difference(std::span<const float> a, std::span<const float> b) {
  float largest = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    largest = std::max(largest, std::isfinite(a[i]) ? std::abs(a[i] - b[i]) : INFINITY);
  return largest;
}

// "layer 2" when its output is the first that differs; the last layer has no tap of its own in the
// reference, which shows it after the final norm.
std::string first_wrong_layer(const Json& prompt,
                              const std::map<std::string, std::vector<float>>& taps,
                              float tolerance) {
  const Json* states = json_find(prompt, "hidden_states_last_token_first8");
  if (states == nullptr) return "(no taps for this prompt)";
  const auto wanted = matrix(*states);
  for (size_t i = 0; i + 1 < wanted.size(); ++i) {
    const std::string mark = i == 0 ? "embedding" : "layer " + std::to_string(i - 1);
    const auto found = taps.find(mark);
    if (found == taps.end()) return mark + " (not computed)";
    if (largest_difference(found->second, wanted[i]) > tolerance) return mark;
  }
  return "after the last tap";
}

void check_prompt(const Case& c, const std::shared_ptr<const formats::ModelFile>& file,
                  const Json& prompt) {
  std::map<std::string, std::vector<float>> taps;
  const ml::Tap remember = [&](std::string_view mark, std::span<const float> values, int64_t rows) {
    const auto last = values.last(values.size() / static_cast<size_t>(rows)).first(8);
    taps[std::string(mark)].assign(last.begin(), last.end());
  };
  TestSession session(file, {.tap = remember});
  const auto ids = prompt["input_ids"].get<std::vector<int32_t>>();
  const auto wanted = matrix(prompt["logits_last2"]);
  std::vector<float> logits = session.append(ids, 2);
  const size_t vocabulary = logits.size() / 2;
  for (size_t row = 0; row < 2; ++row) {
    const auto mine = std::span(logits).subspan(row * vocabulary, vocabulary);
    REQUIRE(wanted[row].size() == vocabulary);
    const float difference = largest_difference(mine, wanted[row]);
    CHECK_MESSAGE(difference <= c.tolerance,
                  c.name << ": " << ids.size() << " tokens, row " << row << " differs by "
                         << difference << ", first in "
                         << first_wrong_layer(prompt, taps, 10 * c.tolerance));
  }
  if (json_find(prompt, "hidden_states_last_token_first8") != nullptr)
    CHECK(first_wrong_layer(prompt, taps, 10 * c.tolerance) == "after the last tap");

  logits.erase(logits.begin(), logits.begin() + static_cast<int64_t>(vocabulary));
  for (const Json& token : prompt["greedy_16"]) {
    const Best best = best_of(logits);
    if (best.margin < 2 * c.tolerance) break;  // rounding may pick the other
    CHECK(best.id == token.get<int32_t>());
    logits = session.append(std::array{token.get<int32_t>()});
  }
}

}  // namespace

TEST_CASE("converted tiny models give the logits, layers and greedy tokens of transformers") {
  if (!models_present()) return;
  for (const Case& c : kCases) {
    CAPTURE(c.name);
    const auto file = converted(c.name);
    const Json golden = golden_of(c.name);
    for (const Json& prompt : golden["prompts"]) check_prompt(c, file, prompt);
  }
}

TEST_CASE("a prompt in chunks gives exactly the logits of one pass") {
  if (!models_present()) return;
  for (const char* name : {"llama", "mistral-swa", "gemma3", "qwen2-yarn"}) {
    CAPTURE(name);
    const auto file = converted(name);
    const auto ids = golden_of(name)["prompts"][2]["input_ids"].get<std::vector<int32_t>>();
    TestSession whole(file, {.capacity = 126});
    const std::vector<float> wanted = whole.append(ids, 3);
    for (const int64_t chunk : {int64_t{1}, int64_t{7}, int64_t{32}, int64_t{125}}) {
      CAPTURE(chunk);
      TestSession pieces(file, {.capacity = chunk});
      CHECK(pieces.append(ids, 3) == wanted);
    }
  }
}

}  // namespace cria::models
