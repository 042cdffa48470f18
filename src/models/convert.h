// convert.h - a Hugging Face checkpoint (config.json and tensors) as GGUF metadata and tensors.
//
// Each architecture has its own NAME_convert.cpp: only there are Hugging Face names known. Nothing
// is read but metadata until tensor_bytes is called, one tensor at a time. Vocabularies are not
// handled here.
#pragma once

#include "base/json.h"
#include "formats/gguf_writer.h"
#include "formats/model_file.h"

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cria::models {

struct ConvertedTensor {
  std::string name;  // in GGUF
  quant::DType dtype = quant::DType::kF32;
  std::array<int64_t, 4> shape{1, 1, 1, 1};
  int rank = 1;
  const formats::TensorInfo* source = nullptr;      // null: `values` are the content
  std::function<void(std::span<float>)> transform;  // of the source's values; may be empty
  std::vector<float> values;
};

struct Conversion {
  std::string architecture;
  std::vector<std::pair<std::string, formats::Value>> metadata;  // general.* and <architecture>.*
  std::vector<ConvertedTensor> tensors;
  std::shared_ptr<const formats::ModelFile> checkpoint;  // owns the sources
};

// `config` is the content of config.json. Throws Error{kUnsupported} for a class that has no
// converter (named) or a tensor that its converter does not know, kInvalidInput for missing or
// wrong keys.
Conversion convert(const Json& config, std::shared_ptr<const formats::ModelFile> checkpoint);

// For formats::write_gguf: reads and converts each tensor when it is its turn. Refers to
// `conversion`.
std::vector<formats::NewTensor> new_tensors(const Conversion& conversion);

// The content of one tensor as it is stored in the new file.
std::vector<std::byte> tensor_bytes(const ConvertedTensor& tensor);

}  // namespace cria::models
