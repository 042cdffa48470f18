#include "base/error.h"
#include "formats/model_file.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <fstream>

namespace cria::formats {
namespace {

// A folder that is gone when the test is.
struct Folder {
  fs::path path = fs::temp_directory_path() / fmt::format("cria-safetensors-{}", ::getpid());
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path / name, std::ios::binary) << bytes;
  }
};

std::string with_header(const std::string& json, size_t data_bytes) {
  std::string bytes(8, '\0');
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(uint64_t{json.size()} >> (8 * i));
  return bytes + json + std::string(data_bytes, '\x7');
}

std::string tensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"w": {"dtype": ")" + dtype + R"(", "shape": )" + shape + R"(, "data_offsets": )" +
         offsets + "}}";
}

std::string error_of(const std::string& bytes) {
  const Folder folder;
  folder.write("x.safetensors", bytes);
  try {
    open_safetensors(folder.path / "x.safetensors");
  } catch (const Error& e) {
    const std::string text = e.what();
    return text.substr(text.find("x.safetensors") + std::string("x.safetensors: ").size());
  }
  return "no error";
}

}  // namespace

TEST_CASE("a safetensors file gives its tensors, fastest dimension first") {
  const Folder folder;
  folder.write("x.safetensors", with_header(R"({"__metadata__": {"format": "pt"},
      "a": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]},
      "b": {"dtype": "F32", "shape": [], "data_offsets": [12, 16]}})",
                                            16));
  const auto model = open_safetensors(folder.path / "x.safetensors");
  REQUIRE(model->tensors.size() == 2);
  const TensorInfo* a = model->find_tensor("a");
  CHECK(a->shape == std::array<int64_t, 4>{3, 2, 1, 1});
  CHECK(a->rank == 2);
  CHECK(a->dtype == quant::DType::kBF16);
  CHECK(a->bytes == 12);
  CHECK(a->offset + 16 == a->file->size());
  CHECK(model->find_tensor("b")->rank == 0);
}

TEST_CASE("a folder opens the shards of its index, or all its files") {
  const Folder folder;
  folder.write("1.safetensors", with_header(tensor("F16", "[4]", "[0, 8]"), 8));
  CHECK(open_safetensors(folder.path)->tensors.size() == 1);
  folder.write("2.safetensors",
               with_header(R"({"v": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}})", 4));
  CHECK(open_safetensors(folder.path)->tensors.size() == 2);
  folder.write("model.safetensors.index.json", R"({"weight_map": {"w": "1.safetensors"}})");
  CHECK(open_safetensors(folder.path)->tensors.size() == 1);
  folder.write("model.safetensors.index.json", R"({"weight_map": {"w": "../1.safetensors"}})");
  CHECK_THROWS_AS(open_safetensors(folder.path), Error);
}

TEST_CASE("the same tensor in two shards is refused") {
  const Folder folder;
  for (const char* name : {"1.safetensors", "2.safetensors"})
    folder.write(name, with_header(tensor("F16", "[4]", "[0, 8]"), 8));
  CHECK_THROWS_AS(open_safetensors(folder.path), Error);
}

TEST_CASE("headers that lie are refused with value and limit") {
  CHECK(error_of("short") != "no error");
  CHECK(error_of(std::string(8, '\xff')) ==
        "a header of 18446744073709551615 bytes, at most 0 fit");
  CHECK(error_of(with_header("[]", 0)) == "the header is not an object");
  CHECK(error_of(with_header(tensor("F32", "[4]", "[0, 16]"), 8)) ==
        "w: data_offsets 0 to 16 leave the 8 bytes of data");
  CHECK(error_of(with_header(tensor("F32", "[4]", "[8, 0]"), 8)) ==
        "w: data_offsets 8 to 0 leave the 8 bytes of data");
  CHECK(error_of(with_header(tensor("F32", "[3]", "[0, 16]"), 16)) ==
        "w: 16 bytes of data do not fit its shape");
  CHECK(error_of(with_header(tensor("F32", "[-4]", "[0, 16]"), 16)) == "w: -4 is negative");
  CHECK(error_of(with_header(tensor("F32", "[4294967296, 4294967296]", "[0, 16]"), 16)) ==
        "w: shape [4294967296,4294967296] is too large");
  CHECK(error_of(with_header(
            tensor("F32", "[4611686018427387904, 4611686018427387904, 1, 1, 0]", "[0, 0]"), 0)) ==
        "w: shape [4611686018427387904,4611686018427387904,1,1,0] is too large");
  CHECK(error_of(with_header(tensor("F7", "[4]", "[0, 16]"), 16)) ==
        "w: dtype \"F7\" is not supported");
  CHECK(error_of(with_header(tensor("F32", "[1.5]", "[0, 16]"), 16)) == "w: 1.5 is not a size");
}

}  // namespace cria::formats
