#include "formats/model_file.h"

#include "base/error.h"

#include <doctest/doctest.h>

#include <unistd.h>

#include <cstring>
#include <fstream>

namespace cria::formats {
namespace {

// Writes GGUF bytes field by field, so that each can be wrong.
struct Builder {
  std::string bytes = "GGUF";
  template <class T>
  Builder& put(T value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof(T));
    return *this;
  }
  Builder& text(std::string_view s) {
    put<uint64_t>(s.size());
    bytes += s;
    return *this;
  }
  Builder& header(uint64_t tensors, uint64_t entries, uint32_t version = 3) {
    return put(version).put(tensors).put(entries);
  }
  Builder& tensor(std::string_view name, std::vector<uint64_t> shape, uint32_t type, uint64_t offset) {
    text(name).put(static_cast<uint32_t>(shape.size()));
    for (const uint64_t n : shape) put(n);
    return put(type).put(offset);
  }
  Builder& data(size_t count, size_t alignment = 32) {
    while (bytes.size() % alignment != 0) bytes += '\0';
    bytes.append(count, '\x01');
    return *this;
  }
};

std::shared_ptr<const ModelFile> open(const std::string& bytes) {
  const fs::path path = fs::temp_directory_path() / fmt::format("cria_formats_{}.gguf", ::getpid());
  std::ofstream(path, std::ios::binary) << bytes;
  const auto file = File::open(path);
  fs::remove(path);
  return open_gguf(file);
}

std::string error_of(const std::string& bytes) {
  try {
    open(bytes);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

Builder small() {
  Builder b;
  b.header(1, 3).text("general.architecture").put<uint32_t>(8).text("llama");
  b.text("n").put<uint32_t>(9).put<uint32_t>(5).put<uint64_t>(2).put<int32_t>(-7).put<int32_t>(9);
  b.text("nested").put<uint32_t>(9).put<uint32_t>(9).put<uint64_t>(1);
  b.put<uint32_t>(8).put<uint64_t>(1).text("x");
  b.tensor("w", {32, 2}, 2, 0).data(36);
  return b;
}

TEST_CASE("a small file gives its metadata and tensors") {
  const auto model = open(small().bytes);
  CHECK(std::get<std::string>(model->find("general.architecture")->data) == "llama");
  CHECK(std::get<std::vector<int64_t>>(model->find("n")->data) == std::vector<int64_t>{-7, 9});
  const auto& nested = std::get<Array>(model->find("nested")->data);
  CHECK(std::get<std::vector<std::string>>(nested[0].data)[0] == "x");
  REQUIRE(model->find_tensor("w") != nullptr);
  CHECK(model->find_tensor("w")->bytes == 36);
  CHECK(model->find_tensor("w")->shape == std::array<int64_t, 4>{32, 2, 1, 1});
  CHECK(model->find("absent") == nullptr);
}

TEST_CASE("a file cut anywhere is refused with an Error") {
  const std::string whole = small().bytes;
  for (size_t n = 0; n < whole.size(); ++n) CHECK(error_of(whole.substr(0, n)) != "no error");
}

TEST_CASE("hostile headers are refused with what is wrong") {
  const auto has = [](const std::string& message, std::string_view part) {
    CAPTURE(message);
    CHECK(message.find(part) != std::string::npos);
  };
  constexpr uint64_t kHuge = uint64_t{1} << 60;
  has(error_of("GGML1234"), "not a GGUF file");
  has(error_of(Builder().header(0, 0, 1).bytes), "version 1");
  has(error_of(Builder().header(0, 0, 0x03000000).bytes), "big-endian");
  has(error_of(Builder().header(0, kHuge).bytes), "metadata entries");
  has(error_of(Builder().header(kHuge, 0).bytes), "tensors");
  has(error_of(Builder().header(0, 1).put(uint64_t{1} << 63).put(kHuge).bytes), "string of");
  has(error_of(Builder().header(0, 1).text("k").put<uint32_t>(77).put(kHuge).bytes), "unknown metadata type");
  has(error_of(Builder().header(0, 1).text("k").put<uint32_t>(9).put<uint32_t>(0).put(kHuge).bytes), "array of");
  has(error_of(Builder().header(0, 1).text("k").put<uint32_t>(7).put<uint8_t>(3).bytes), "a bool is 3");
  for (const uint32_t alignment : {0u, 3u, 1u << 30}) {
    has(error_of(Builder().header(0, 1).text("general.alignment").put<uint32_t>(4).put(alignment).bytes),
        "general.alignment");
  }
  Builder twice;
  twice.header(0, 2).text("k").put<uint32_t>(0).put<uint8_t>(1).text("k").put<uint32_t>(0).put<uint8_t>(1);
  has(error_of(twice.bytes), "appears twice");
  Builder deep;
  deep.header(0, 1).text("k").put<uint32_t>(9);
  for (int i = 0; i < 9; ++i) deep.put<uint32_t>(9).put<uint64_t>(1);
  has(error_of(deep.bytes), "nested deeper");
}

TEST_CASE("hostile tensors are refused by name") {
  const auto message = [](std::vector<uint64_t> shape, uint32_t type, uint64_t offset) {
    return error_of(Builder().header(1, 0).tensor("bad", shape, type, offset).data(4096).bytes);
  };
  const auto has = [](const std::string& text, std::string_view part) {
    CAPTURE(text);
    CHECK(text.find("\"bad\"") != std::string::npos);
    CHECK(text.find(part) != std::string::npos);
  };
  has(message({32, 0}, 0, 0), "dimension 1 is 0");
  has(message({32, 1, 1, 1, 1}, 0, 0), "5 dimensions");
  has(message({32}, 4711, 0), "type 4711");
  has(message({100}, 12, 0), "whole Q4_K blocks");
  has(message({uint64_t{1} << 40, uint64_t{1} << 40}, 0, 0), "overflows");
  has(message({uint64_t{1} << 63}, 0, 0), "dimension 0");
  has(message({2048}, 0, 0), "beyond the end");
  has(message({32}, 0, 4096), "beyond the end");
  has(message({32}, 0, INT64_MAX - 31), "beyond the end");
  has(message({32}, 0, uint64_t{1} << 63), "out of range");
  has(message({32}, 0, 7), "alignment");
}

TEST_CASE("the vocabularies of real models open") {
  const fs::path folder = fs::path(CRIA_SHARED_DIR) / "data/tokenizers/vocab";
  if (!fs::exists(folder)) {
    MESSAGE("SKIPPED: no shared data at ", folder.string());
    return;
  }
  for (const auto& entry : fs::directory_iterator(folder)) {
    CAPTURE(entry.path().string());
    const auto model = open_gguf(entry.path());
    const Value* tokens = model->find("tokenizer.ggml.tokens");
    REQUIRE(tokens != nullptr);
    CHECK(std::get<std::vector<std::string>>(tokens->data).size() > 10000);
  }
}

}  // namespace
}  // namespace cria::formats
