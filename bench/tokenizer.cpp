// tokenizer.cpp - megabytes per second of encoding on one core, for one vocabulary and one text.
//
//   bench_tokenizer VOCABULARY.gguf [TEXT [SECONDS]]
// Without a text it makes English-like prose. The ids' count is printed so that runs can be
// compared.
#include "../tests/vocabulary_file.h"

#include <chrono>
#include <cstdio>
#include <iterator>

namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string prose() {
  constexpr const char* kWords[] = {
      "the", "language", "model",   "of",      "small", "systems", "reads",   "every", "letter",
      "and", "answers",  "quickly", "because", "it's",  "been",    "trained", "on",    "text"};
  std::string out;
  uint32_t state = 1;
  for (int word = 0; out.size() < size_t{1} << 20; ++word) {
    state = state * 1664525 + 1013904223;
    out += kWords[(state >> 16) % std::size(kWords)];
    out += word % 13 == 12 ? ". " : word % 57 == 56 ? "\n\n" : " ";
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_tokenizer VOCABULARY.gguf [TEXT [SECONDS]]\n");
    return 1;
  }
  auto start = Clock::now();
  auto spec = cria::test::VocabularyFile::read(argv[1]);
  const double read = seconds_since(start);
  start = Clock::now();
  const auto tokenizer = cria::text::make_tokenizer(std::move(spec));
  const double made = seconds_since(start);
  std::string text = prose();
  if (argc > 2) {
    std::ifstream in(argv[2], std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(in), {});
  }
  const double least = argc > 3 ? std::atof(argv[3]) : 1.0;
  size_t tokens = tokenizer->encode(text, {}).size();  // warms the caches
  int rounds = 0;
  start = Clock::now();
  double elapsed = 0;
  for (; elapsed < least; ++rounds, elapsed = seconds_since(start))
    tokens = tokenizer->encode(text, {}).size();
  std::printf("%s: %zu bytes, %zu tokens, %.1f MB/s (file %.0f ms, tokenizer %.0f ms)\n", argv[1],
              text.size(), tokens, static_cast<double>(text.size()) * rounds / elapsed / 1e6,
              read * 1e3, made * 1e3);
}
