// gguf_writer.h - writes GGUF v3: the inverse of open_gguf.
//
// Tensors are streamed, so that a model larger than memory can be written. What is written opens
// again with equal metadata: names, sizes and values that the format cannot hold are refused.
#pragma once

#include "formats/model_file.h"

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace cria::formats {

// Takes the next bytes, in order.
using ByteSink = std::function<void(std::span<const std::byte>)>;

struct NewTensor {
  std::string name;
  quant::DType dtype = quant::DType::kF32;
  std::array<int64_t, 4> shape{1, 1, 1, 1};  // {fastest, ..., slowest}
  int rank = 1;
  std::function<void(const ByteSink&)> write;  // must give exactly the bytes that the shape has
};

using Metadata = std::vector<std::pair<std::string, Value>>;

// Writes to any sink, e.g. one that computes a digest on the way. Metadata and tensors keep their
// order. The alignment is general.alignment where `metadata` has it, else 32.
// Throws Error{kInvalidInput} naming key or tensor.
void write_gguf(const ByteSink& sink, const Metadata& metadata,
                const std::vector<NewTensor>& tensors);
// To a file: the complete new one appears under `path`, or nothing changes.
void write_gguf(const fs::path& path, const Metadata& metadata,
                const std::vector<NewTensor>& tensors);

// The number of bytes that write_gguf gives, for progress and disk space.
int64_t gguf_bytes(const Metadata& metadata, const std::vector<NewTensor>& tensors);

// A tensor of an open file, copied unchanged.
NewTensor copy_of(const TensorInfo& tensor);

// Values of the types that writers use; the widths are GGUF's.
Value value_u32(uint32_t value);
Value value_f32(float value);
Value value_bool(bool value);
Value value_string(std::string value);
Value value_i32s(std::vector<int64_t> values);
Value value_f32s(std::vector<double> values);
Value value_strings(std::vector<std::string> values);

}  // namespace cria::formats
