#include "store/chunk_sums.h"

#include "base/error.h"
#include "store/test_store.h"

#include <doctest/doctest.h>

namespace cria::store {
namespace {

// The content in pieces of `step` bytes.
ChunkSums sums_of(const std::string& content, size_t step = size_t{1} << 20) {
  BlobHash hash;
  const auto bytes = std::as_bytes(std::span(content));
  for (size_t at = 0; at < bytes.size(); at += step)
    hash.update(bytes.subspan(at, std::min(step, bytes.size() - at)));
  HashedBlob hashed = hash.finish();
  Sha256 digest;
  digest.update(bytes);
  CHECK(hashed.digest.hex() == digest.hex());
  return std::move(hashed.sums);
}

TEST_CASE("checksums are XXH3-128 of every 4 MiB") {
  CHECK(sums_of("").sums.empty());
  // The value of the reference implementation's xxhsum -H2 for "abc": high word, then low word.
  const ChunkSums abc = sums_of("abc");
  CHECK(fmt::format("{:016x}{:016x}", abc.sums.at(0).high, abc.sums.at(0).low) ==
        "06b05ab6733a618578af5f94892f3950");
  const std::string big(ChunkSums::kChunk + 1, 'x');
  const ChunkSums two = sums_of(big);
  CHECK(two.sums.size() == 2);
  CHECK(two.size == ChunkSums::kChunk + 1);
  CHECK(sums_of(big, big.size()).sums == two.sums);
  CHECK(sums_of(big, 1'234'567).sums == two.sums);
  std::string changed = big;
  changed[5] = 'y';
  CHECK(sums_of(changed).sums[0] != two.sums[0]);
  CHECK(sums_of(changed).sums[1] == two.sums[1]);
  CHECK(sums_of(std::string(ChunkSums::kChunk, 'x')).sums.size() == 1);
}

TEST_CASE("pieces of any length give the same checksum") {
  ChunkHash whole, pieces;
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += static_cast<char>(i * 7);
  const auto bytes = std::as_bytes(std::span(text));
  whole.update(bytes);
  for (size_t at = 0, n = 1; at < bytes.size(); at += n, n = n % 1000 + 7)
    pieces.update(bytes.subspan(at, std::min(n, bytes.size() - at)));
  const ChunkSum sum = whole.finish();
  CHECK(pieces.finish() == sum);
  whole.update(bytes);
  CHECK(whole.finish() == sum);
}

TEST_CASE("a file of checksums is read back, and every damage to it is noticed") {
  TestStore t("chunkfile");
  const ChunkSums sums = {.size = ChunkSums::kChunk + 5, .sums = {{1, 2}, {3, 4}}};
  const fs::path path = t.folder / "cria/chunks/x";
  CHECK_FALSE(ChunkSums::read(path, sums.size));
  sums.write(path);
  CHECK(ChunkSums::read(path, sums.size)->sums == sums.sums);
  CHECK_FALSE(ChunkSums::read(path, sums.size + 1));
  const std::string good = sums.bytes();
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    CHECK_THROWS_AS(ChunkSums::parse(bad), Error);
    CHECK_THROWS_AS(ChunkSums::parse(good.substr(0, i)), Error);
  }
  write_file_atomically(path, good.substr(1));
  CHECK_FALSE(ChunkSums::read(path, sums.size));
}

TEST_CASE("the checksums of a blob go with it") {
  TestStore t("chunkgone");
  const Manifest manifest = make_model(t.store, "m", "weights");
  const fs::path path = t.store.chunk_sums_path(manifest.layers[0].digest);
  ChunkSums{.size = 0, .sums = {}}.write(path);
  t.store.remove(ModelName::require("m"));
  CHECK_FALSE(fs::exists(path));
}

}  // namespace
}  // namespace cria::store
