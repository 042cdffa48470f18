#include "engine/prompt_store.h"

#include "base/error.h"
#include "engine/kv_for_tests.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace cria::engine {
namespace {

constexpr int64_t kSlot = 256 + 4 * ml::kPageTokens, kVocabulary = 1000;
constexpr int64_t kEverything = int64_t{1} << 40;

struct TemporaryFile {
  std::string path = fmt::format("{}/cria_prompts_{}",
                                 std::filesystem::temp_directory_path().string(), ::getpid());
  TemporaryFile() { std::filesystem::remove(path); }
  ~TemporaryFile() { std::filesystem::remove(path); }
  // Changes the byte at `offset`.
  void damage(int64_t offset) const {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(offset);
    const int byte = file.get();
    file.seekp(offset);
    file.put(static_cast<char>(byte ^ 1));
  }
};

// Computes these tokens in memory of its own over the file; returns how many were there already.
int64_t run(const std::string& path, const std::vector<TokenId>& tokens, int64_t pages = 8,
            std::string_view identity = "a model", int64_t most_bytes = kEverything) {
  Fixture f(pages);
  PromptStore store(path);
  store.load(*f.memory, identity, kVocabulary);
  Sequence sequence(*f.memory, tokens);
  CHECK(f.consistent(sequence));
  const int64_t reused = sequence.reused();
  f.compute(sequence, sequence.pending());
  CHECK(f.consistent(sequence));
  sequence.publish(true);
  while (!store.save(most_bytes)) {
  }
  return reused;
}

TEST_CASE("prompts are found again by the next runner, whole pages and the part-full last one") {
  const TemporaryFile file;
  CHECK(run(file.path, count_up(0, 70)) == 0);
  CHECK(run(file.path, count_up(0, 70)) == 69);
  CHECK(run(file.path, count_up(0, 100)) == 70);
  CHECK(run(file.path, count_up(0, 101)) == 100);
  // Another text with the same beginning, and one of its own, written a page at a time.
  std::vector<TokenId> branch = count_up(0, 40);
  branch.resize(90, 7);
  CHECK(run(file.path, branch, 16, "a model", 1) == 40);
  CHECK(run(file.path, branch, 16) == 89);
  CHECK(run(file.path, count_up(0, 101), 16) == 100);
  CHECK(run(file.path, count_up(500, 40), 16) == 0);
  CHECK(std::filesystem::file_size(file.path) <= static_cast<size_t>(16 * kSlot));
}

TEST_CASE("what another model, other settings or another vocabulary computed is not taken") {
  const TemporaryFile file;
  run(file.path, count_up(0, 70));
  CHECK(run(file.path, count_up(0, 70), 8, "another model") == 0);
  run(file.path, count_up(kVocabulary - 10, 30));  // ids that no such model has
  CHECK(run(file.path, count_up(kVocabulary - 10, 30)) == 0);
}

TEST_CASE("a damaged page is lost with what follows it, and nothing else") {
  for (int64_t offset = 0; offset < 3 * kSlot; offset += 13) {
    const TemporaryFile file;
    run(file.path, count_up(0, 96));
    file.damage(offset);
    const int64_t page = offset / kSlot;
    CAPTURE(offset);
    CHECK(run(file.path, count_up(0, 97)) == page * ml::kPageTokens);
    CHECK(run(file.path, count_up(0, 97)) == 96);
  }
}

TEST_CASE("a file that is cut off, of zeros or of noise is as good as none") {
  const TemporaryFile file;
  for (const int64_t size : {int64_t{1}, kSlot - 1, kSlot + 40, 2 * kSlot + 300}) {
    run(file.path, count_up(0, 96));
    std::filesystem::resize_file(file.path, static_cast<size_t>(size));
    CHECK(run(file.path, count_up(0, 97)) == size / kSlot * ml::kPageTokens);
  }
  std::filesystem::resize_file(file.path, 0);
  std::filesystem::resize_file(file.path, 100 * kSlot);
  CHECK(run(file.path, count_up(0, 70)) == 0);
  CHECK(std::filesystem::file_size(file.path) == static_cast<size_t>(8 * kSlot));
  std::ofstream(file.path, std::ios::binary) << std::string(5 * kSlot, 'x');
  CHECK(run(file.path, count_up(0, 70)) == 0);
}

TEST_CASE("fewer pages than the file has, and a memory that has to forget") {
  const TemporaryFile file;
  CHECK(run(file.path, count_up(0, 200)) == 0);
  CHECK(run(file.path, count_up(0, 90), 3) == 64);   // no page is left for a copy of the last one
  CHECK(run(file.path, count_up(300, 96), 3) == 0);  // takes all pages, and so all slots
  CHECK(run(file.path, count_up(0, 90), 8) == 0);
  CHECK(run(file.path, count_up(300, 96), 8) == 95);  // the run before took other slots
}

TEST_CASE("one runner at a time, and only a plain file") {
  const TemporaryFile file;
  const PromptStore first(file.path);
  CHECK_THROWS_AS(PromptStore(file.path), Error);
  CHECK_THROWS_AS(PromptStore(file.path + "/below a file"), Error);
  CHECK_THROWS_AS(PromptStore(std::filesystem::temp_directory_path().string()), Error);
}

}  // namespace
}  // namespace cria::engine
