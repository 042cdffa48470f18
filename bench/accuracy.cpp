// accuracy.cpp - how far the integer path is from the float path, over a text.
//
//   bench_accuracy MODEL.gguf TEXT
// As llama-perplexity --kl-divergence -c 512 measures it, so that both can be compared: the text's
// tokens in chunks of 512, each begun anew, of which the second half counts. Prints one JSON
// object: the mean Kullback-Leibler divergence of the integer path's next token from the float
// path's (weights dequantised), and how often both have the same best token.
#include "base/error.h"
#include "base/file.h"
#include "engine/vocabulary.h"
#include "models/session_for_tests.h"

#include <cmath>
#include <cstdio>

namespace {

using namespace cria;

constexpr size_t kChunk = 512, kFirst = kChunk / 2;

double log_sum_exp(std::span<const float> logits) {
  const double top = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x) - top);
  return top + std::log(sum);
}

double divergence(std::span<const float> truth, std::span<const float> other) {
  const double truth_sum = log_sum_exp(truth), other_sum = log_sum_exp(other);
  double sum = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    const double p = static_cast<double>(truth[i]) - truth_sum;
    const double q = static_cast<double>(other[i]) - other_sum;
    sum += std::exp(p) * (p - q);
  }
  return sum;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: %s MODEL.gguf TEXT\n", argv[0]), 2;
  try {
    const auto file = formats::open_gguf(argv[1]);
    const auto tokenizer = text::make_tokenizer(engine::vocabulary_of(*file));
    std::vector<int32_t> tokens =
        tokenizer->encode(read_text_file(argv[2], 1 << 24), {.add_special = true});
    models::TestSession::Options options{
        .backend = "cpu", .capacity = kChunk, .positions = kChunk, .float_weights = true};
    options.kv_type = ml::DType::kF16;  // in both, as the peer has it in both of its runs
    models::TestSession exact(file, options);
    options.float_weights = false;
    models::TestSession fast(file, options);
    const auto vocabulary = static_cast<size_t>(exact.model().vocabulary);
    double sum = 0;
    int64_t count = 0, same = 0;
    for (size_t start = 0; start + kChunk <= tokens.size(); start += kChunk) {
      const auto chunk = std::span(tokens).subspan(start, kChunk);
      if (tokenizer->adds_bos()) chunk[0] = tokenizer->bos();
      exact.rewind(0);
      fast.rewind(0);
      const std::vector<float> truth = exact.append(chunk, kChunk - kFirst);
      const std::vector<float> got = fast.append(chunk, kChunk - kFirst);
      for (size_t row = 0; row + 1 < kChunk - kFirst; ++row) {  // the last token has no successor
        const auto a = std::span(truth).subspan(row * vocabulary, vocabulary);
        const auto b = std::span(got).subspan(row * vocabulary, vocabulary);
        sum += divergence(a, b);
        same += models::best_of(a).id == models::best_of(b).id;
        ++count;
      }
    }
    CRIA_CHECK(count > 0, "the text has at least one chunk");
    std::printf("{\"tokens\":%lld,\"mean_kld\":%.7f,\"same_top\":%.4f}\n",
                static_cast<long long>(count), sum / static_cast<double>(count),
                static_cast<double>(same) / static_cast<double>(count));
    return 0;
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
