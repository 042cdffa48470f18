#include "formats/model_file.h"

#include "base/error.h"
#include "tests/skip.h"

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
  Builder& tensor(std::string_view name, std::vector<uint64_t> shape, uint32_t type,
                  uint64_t offset) {
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
  has(error_of(Builder().header(0, 1).text("k").put<uint32_t>(77).put(kHuge).bytes),
      "unknown metadata type");
  has(error_of(Builder().header(0, 1).text("k").put<uint32_t>(9).put<uint32_t>(0).put(kHuge).bytes),
      "array of");
  has(error_of(Builder().header(0, 1).text("k").put<uint32_t>(7).put<uint8_t>(3).bytes),
      "a bool is 3");
  for (const uint32_t alignment : {0u, 3u, 1u << 30}) {
    has(error_of(
            Builder().header(0, 1).text("general.alignment").put<uint32_t>(4).put(alignment).bytes),
        "general.alignment");
  }
  Builder twice;
  twice.header(0, 2)
      .text("k")
      .put<uint32_t>(0)
      .put<uint8_t>(1)
      .text("k")
      .put<uint32_t>(0)
      .put<uint8_t>(1);
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
    test::skip("no shared data at " + folder.string());
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

TEST_CASE("a file of version 2 has the same layout") {
  std::string bytes = small().bytes;
  bytes[4] = 2;
  CHECK(open(bytes)->version == 2);
}

TEST_CASE("every metadata type is read with its sign and width") {
  Builder b;
  b.header(0, 9);
  b.text("u8").put<uint32_t>(0).put<uint8_t>(255);
  b.text("i8").put<uint32_t>(1).put<int8_t>(-1);
  b.text("u16").put<uint32_t>(2).put<uint16_t>(65535);
  b.text("i16").put<uint32_t>(3).put<int16_t>(-2);
  b.text("u32").put<uint32_t>(4).put<uint32_t>(4294967295u);
  b.text("f32").put<uint32_t>(6).put<float>(0.5f);
  b.text("u64").put<uint32_t>(10).put<uint64_t>(UINT64_MAX);
  b.text("i64").put<uint32_t>(11).put<int64_t>(INT64_MIN);
  b.text("f64").put<uint32_t>(12).put<double>(1e300);
  const auto model = open(b.bytes);
  const auto integer = [&](std::string_view key) {
    return std::get<int64_t>(model->find(key)->data);
  };
  CHECK(integer("u8") == 255);
  CHECK(integer("i8") == -1);
  CHECK(integer("u16") == 65535);
  CHECK(integer("i16") == -2);
  CHECK(integer("u32") == 4294967295);
  CHECK(std::get<double>(model->find("f32")->data) == 0.5);
  CHECK(std::get<uint64_t>(model->find("u64")->data) == UINT64_MAX);
  CHECK(integer("i64") == INT64_MIN);
  CHECK(std::get<double>(model->find("f64")->data) == 1e300);
}

TEST_CASE("two tensors of one name are refused, and so is an alignment that is not a number") {
  Builder b;
  b.header(2, 0).tensor("w", {8}, 0, 0).tensor("w", {8}, 0, 32).data(64);
  CHECK(error_of(b.bytes).find("\"w\" appears twice") != std::string::npos);
  Builder a;
  a.header(0, 1).text("general.alignment").put<uint32_t>(8).text("32");
  CHECK(error_of(a.bytes).find("not an integer") != std::string::npos);
}

struct Shards {
  fs::path folder = fs::temp_directory_path() / fmt::format("cria_shards_{}", ::getpid());
  Shards() { fs::create_directories(folder); }
  ~Shards() { fs::remove_all(folder); }
  Shards(const Shards&) = delete;
  Shards& operator=(const Shards&) = delete;

  static Builder part(int16_t number, uint16_t count, std::string_view tensor,
                      int32_t tensors = 2) {
    Builder b;
    b.header(1, 3).text("split.no").put<uint32_t>(2).put(number);
    b.text("split.count").put<uint32_t>(2).put(count);
    b.text("split.tensors.count").put<uint32_t>(5).put(tensors);
    b.tensor(tensor, {8}, 0, 0).data(32);
    return b;
  }
  fs::path put(std::string_view name, const Builder& b) const {
    std::ofstream(folder / name, std::ios::binary) << b.bytes;
    return folder / name;
  }
  static std::string error_of(const fs::path& path) {
    try {
      open_gguf(path);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  }
};

TEST_CASE("the first part of a split file opens all of them") {
  const Shards shards;
  const fs::path first = shards.put("m-00001-of-00002.gguf", Shards::part(0, 2, "a"));
  const fs::path second = shards.put("m-00002-of-00002.gguf", Shards::part(1, 2, "b"));
  const auto model = open_gguf(first);
  REQUIRE(model->tensors.size() == 2);
  CHECK(model->find_tensor("a")->file->name() == first.string());
  CHECK(model->find_tensor("b")->file->name() == second.string());
}

TEST_CASE("parts are put together whatever their files are called") {
  const Shards shards;
  const fs::path a = shards.put("one", Shards::part(0, 2, "a"));
  const fs::path b = shards.put("two", Shards::part(1, 2, "b"));
  const auto model = open_gguf_parts({File::open(a), File::open(b)});
  REQUIRE(model->tensors.size() == 2);
  CHECK(model->find_tensor("b")->file->name() == b.string());
  CHECK_THROWS_AS(open_gguf_parts({File::open(b), File::open(a)}), Error);
  CHECK_THROWS_AS(open_gguf_parts({File::open(a)}), Error);
}

TEST_CASE("a split file with a missing, wrong or repeated part is refused with which") {
  const Shards shards;
  const auto has = [](const std::string& message, std::string_view part) {
    CAPTURE(message);
    CHECK(message.find(part) != std::string::npos);
  };
  const fs::path first = shards.put("m-00001-of-00002.gguf", Shards::part(0, 2, "a"));
  has(Shards::error_of(first), "m-00002-of-00002.gguf");
  const fs::path second = shards.put("m-00002-of-00002.gguf", Shards::part(1, 2, "b"));
  has(Shards::error_of(second), "...-00001-of-00002.gguf");
  shards.put("m-00002-of-00002.gguf", Shards::part(1, 2, "a"));
  has(Shards::error_of(first), "in an earlier part too");
  shards.put("m-00002-of-00002.gguf", Shards::part(0, 2, "b"));
  has(Shards::error_of(first), "part 1 of 2, not 2 of 2");
  shards.put("m-00002-of-00002.gguf", Shards::part(1, 2, "b"));
  shards.put("m-00001-of-00002.gguf", Shards::part(0, 2, "a", 9));
  has(Shards::error_of(first), "hold 2 tensors, split.tensors.count is 9");
  has(Shards::error_of(shards.put("m-00001-of-60000.gguf", Shards::part(0, 60000, "a"))),
      "at most 1000");
}

}  // namespace
}  // namespace cria::formats
