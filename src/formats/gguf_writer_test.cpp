#include "formats/gguf_writer.h"

#include "base/disk.h"
#include "base/error.h"
#include "tests/skip.h"

#include <doctest/doctest.h>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

namespace cria::formats {
namespace {

struct Folder {
  fs::path path = fs::temp_directory_path() / fmt::format("cria_writer_{}", ::getpid());
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
};

bool equal(const Value& a, const Value& b) {
  if (a.gguf_type != b.gguf_type || a.gguf_element_type != b.gguf_element_type ||
      a.data.index() != b.data.index())
    return false;
  return std::visit(
      [&]<class T>(const T& left) {
        const T& right = std::get<T>(b.data);
        if constexpr (std::is_same_v<T, Array>)
          return std::equal(left.begin(), left.end(), right.begin(), right.end(), equal);
        else
          return left == right;
      },
      a.data);
}

void check_equal(const ModelFile& a, const ModelFile& b) {
  REQUIRE(a.metadata.size() == b.metadata.size());
  for (size_t i = 0; i < a.metadata.size(); ++i) {
    CAPTURE(a.metadata[i].first);
    CHECK(a.metadata[i].first == b.metadata[i].first);
    CHECK(equal(a.metadata[i].second, b.metadata[i].second));
  }
  REQUIRE(a.tensors.size() == b.tensors.size());
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    const TensorInfo &x = a.tensors[i], &y = b.tensors[i];
    CAPTURE(x.name);
    CHECK(x.name == y.name);
    CHECK((x.dtype == y.dtype));
    CHECK(x.shape == y.shape);
    CHECK(x.rank == y.rank);
    REQUIRE(x.bytes == y.bytes);
    std::vector<std::byte> left(static_cast<size_t>(x.bytes)), right(left.size());
    x.file->read_at(x.offset, left);
    y.file->read_at(y.offset, right);
    CHECK((left == right));
  }
}

NewTensor filled(std::string name, quant::DType dtype, std::array<int64_t, 4> shape, int rank,
                 size_t bytes) {
  return {std::move(name), dtype, shape, rank, [bytes](const ByteSink& sink) {
            std::vector<std::byte> content(bytes);
            for (size_t i = 0; i < bytes; ++i) content[i] = static_cast<std::byte>(i * 7);
            sink(std::span(content).first(bytes / 2));
            sink(std::span(content).subspan(bytes / 2));
          }};
}

Metadata of_every_type() {
  const auto integer = [](uint32_t type, int64_t v) { return Value{.data = v, .gguf_type = type}; };
  Value list{.data = std::vector<int64_t>{-1, 5}, .gguf_type = 9, .gguf_element_type = 3};
  Value nested{.data = Array{list, list}, .gguf_type = 9, .gguf_element_type = 9};
  return {
      {"general.architecture", value_string("llama")},
      {"u8", integer(0, 255)},
      {"i8", integer(1, -128)},
      {"u16", integer(2, 65535)},
      {"i16", integer(3, -32768)},
      {"u32", value_u32(4294967295u)},
      {"i32", integer(5, INT32_MIN)},
      {"f32", value_f32(1.5f)},
      {"bool", value_bool(true)},
      {"u64", {.data = UINT64_MAX, .gguf_type = 10}},
      {"u64 small", integer(10, 7)},
      {"i64", integer(11, INT64_MIN)},
      {"f64", {.data = 0.1, .gguf_type = 12}},
      {"empty", value_strings({})},
      {"strings", value_strings({"", "a\0b", "\xff"})},
      {"floats", value_f32s({0.25, -1})},
      {"bools", {.data = std::vector<bool>{true, false}, .gguf_type = 9, .gguf_element_type = 7}},
      {"nested", nested}};
}

TEST_CASE("what was written opens with equal metadata and tensors, whatever the alignment") {
  const Folder folder;
  for (const uint32_t alignment : {1u, 32u, 4096u}) {
    CAPTURE(alignment);
    Metadata metadata = of_every_type();
    metadata.emplace_back("general.alignment", value_u32(alignment));
    const std::vector<NewTensor> tensors = {
        filled("a", quant::DType::kF32, {3, 1, 1, 1}, 1, 12),
        filled("b", quant::DType::kQ4_K, {256, 2, 3, 1}, 3, 864),
        filled("scalar", quant::DType::kF16, {1, 1, 1, 1}, 0, 2)};
    write_gguf(folder.path / "one.gguf", metadata, tensors);
    const auto one = open_gguf(folder.path / "one.gguf");
    REQUIRE(one->metadata.size() == metadata.size());
    for (size_t i = 0; i < metadata.size(); ++i) {
      CAPTURE(metadata[i].first);
      CHECK(equal(one->metadata[i].second, metadata[i].second));
    }
    CHECK(static_cast<int64_t>(fs::file_size(folder.path / "one.gguf")) ==
          gguf_bytes(metadata, tensors));
    std::vector<NewTensor> copies;
    for (const TensorInfo& tensor : one->tensors) copies.push_back(copy_of(tensor));
    write_gguf(folder.path / "two.gguf", one->metadata, copies);
    check_equal(*one, *open_gguf(folder.path / "two.gguf"));
  }
}

TEST_CASE("a file by another writer survives reading and writing") {
  const fs::path source =
      fs::path(CRIA_SHARED_DIR) / "data/tokenizers/vocab/ggml-vocab-llama-spm.gguf";
  if (!fs::exists(source)) {
    test::skip("no shared data at " + source.string());
    return;
  }
  const Folder folder;
  const auto model = open_gguf(source);
  write_gguf(folder.path / "copy.gguf", model->metadata, {});
  check_equal(*model, *open_gguf(folder.path / "copy.gguf"));
}

std::string error_of(const Metadata& metadata, const std::vector<NewTensor>& tensors) {
  try {
    write_gguf([](std::span<const std::byte>) {}, metadata, tensors);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST_CASE("what the format cannot hold is refused by name") {
  const auto has = [](const std::string& message, std::string_view part) {
    CAPTURE(message);
    CHECK(message.find(part) != std::string::npos);
  };
  has(error_of({{"k", {.data = int64_t{256}, .gguf_type = 0}}}, {}), "\"k\": 256 does not fit");
  has(error_of({{"k", {.data = int64_t{-1}, .gguf_type = 10}}}, {}), "-1 does not fit");
  has(error_of({{"k", {.data = UINT64_MAX, .gguf_type = 4}}}, {}), "uint64");
  has(error_of({{"k", {.data = std::string("x"), .gguf_type = 4}}}, {}), "type id 4");
  has(error_of({{"k", {.data = int64_t{1}, .gguf_type = 8}}}, {}), "type id 8");
  has(error_of({{"k", value_u32(1)}, {"k", value_u32(2)}}, {}), "\"k\" appears twice");
  has(error_of({{"general.alignment", value_u32(48)}}, {}), "power of two");
  has(error_of({}, {filled("t", quant::DType::kQ4_K, {100, 1, 1, 1}, 1, 0)}), "whole Q4_K blocks");
  has(error_of({}, {filled("t", quant::DType::kF32, {0, 1, 1, 1}, 1, 0)}), "dimension 0 is 0");
  has(error_of({}, {filled("t", quant::DType::kF32, {1, 2, 1, 1}, 1, 8)}), "dimension 1 is 2");
  const int64_t huge = int64_t{1} << 40;
  has(error_of({}, {filled("t", quant::DType::kF32, {huge, huge, 1, 1}, 2, 8)}), "overflows");
  const NewTensor good = filled("t", quant::DType::kF32, {2, 1, 1, 1}, 1, 8);
  has(error_of({}, {good, good}), "appears twice");
  has(error_of({}, {filled("t", quant::DType::kF32, {2, 1, 1, 1}, 1, 7)}), "gives 7 bytes");
  has(error_of({}, {filled("t", quant::DType::kF32, {2, 1, 1, 1}, 1, 9)}), "more than the 8 bytes");
}

TEST_CASE("a write that fails leaves the old file and no temporary one") {
  const Folder folder;
  const fs::path path = folder.path / "model.gguf";
  write_gguf(path, {{"a", value_u32(1)}}, {});
  NewTensor broken = filled("t", quant::DType::kF32, {2, 1, 1, 1}, 1, 8);
  broken.write = [](const ByteSink&) { fail(ErrorKind::kInvalidInput, "no more"); };
  CHECK_THROWS_AS(write_gguf(path, {}, {broken}), Error);
  CHECK(open_gguf(path)->find("a") != nullptr);
  CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 1);
}

TEST_CASE("whichever write, sync or rename fails, the old file stands or the new one does") {
  const Folder folder;
  const fs::path path = folder.path / "model.gguf";
  const NewTensor tensor = filled("t", quant::DType::kF32, {2, 1, 1, 1}, 1, 8);
  int64_t calls = 1;
  for (int64_t k = 1; k <= calls; ++k) {
    CAPTURE(k);
    write_gguf(path, {{"old", value_u32(1)}}, {});
    disk::plan_fault({.call = k, .code = ENOSPC});
    bool failed = false;
    try {
      write_gguf(path, {{"new", value_u32(1)}}, {tensor});
    } catch (const Error& e) {
      failed = true;
      CHECK((e.kind() == ErrorKind::kOutOfMemory));
    }
    calls = std::max(calls, disk::calls() + (failed ? 1 : 0));
    disk::plan_fault({});
    const auto model = open_gguf(path);
    CHECK((model->find("old") != nullptr) != (model->find("new") != nullptr));
    CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 1);
  }
  CHECK(calls >= 5);
}

}  // namespace
}  // namespace cria::formats
