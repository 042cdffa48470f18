// model_file.h - what every model file format gives: metadata and tensors, checked once, at open.
//
// After open_* returned, every tensor's bytes lie inside its file and its shape and size agree, so
// readers need no further checks on offsets. Values of metadata are still untrusted numbers.
#pragma once

#include "base/file.h"
#include "quant/dtype.h"

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace cria::formats {

struct Value;
using Array = std::vector<Value>;  // arrays of arrays only; flat arrays have vectors of their own
// Integers of every width are int64_t (uint64_t above its range stays unsigned), floats are double.
struct Value {
  std::variant<bool, int64_t, uint64_t, double, std::string, std::vector<bool>,
               std::vector<int64_t>, std::vector<double>, std::vector<std::string>, Array>
      data;
  uint32_t gguf_type = 0;          // the type as stored, so that a writer reproduces it
  uint32_t gguf_element_type = 0;  // of an array
};

struct TensorInfo {
  std::string name;
  quant::DType dtype;
  std::array<int64_t, 4> shape;  // {fastest, ..., slowest}, unused dims are 1
  int rank;
  std::shared_ptr<const File> file;  // the shard that holds it
  int64_t offset;                    // from the start of the file
  int64_t bytes;
};

// Immutable; shared by everything that reads the model.
struct ModelFile {
  std::string path;
  uint32_t version = 3;
  int64_t alignment = 32;
  std::vector<std::pair<std::string, Value>> metadata;  // in file order
  std::vector<TensorInfo> tensors;                      // in file order

  const Value* find(std::string_view key) const;
  const TensorInfo* find_tensor(std::string_view name) const;
};

// Throws Error{kInvalidInput} with key or tensor, value and limit. `path` of the first shard opens
// all.
std::shared_ptr<const ModelFile> open_gguf(const fs::path& path);
std::shared_ptr<const ModelFile> open_gguf(std::shared_ptr<const File> file);
// All parts of a model that was cut, in order, whatever their files are called.
std::shared_ptr<const ModelFile> open_gguf_parts(
    const std::vector<std::shared_ptr<const File>>& parts);
// Hugging Face layout: one *.safetensors or an index with shards, tensors only (no metadata).
std::shared_ptr<const ModelFile> open_safetensors(const fs::path& file_or_folder);

}  // namespace cria::formats
