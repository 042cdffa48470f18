// quantize.h - a model file in another, smaller type.
#pragma once

#include "formats/gguf_writer.h"
#include "formats/model_file.h"
#include "quant/mix.h"

#include <functional>

namespace cria::create {

// Throws Error{kInvalidInput} naming what is supported.
const quant::Mix& require_mix(std::string_view name);

struct Quantized {
  formats::Metadata metadata;  // with the new general.file_type, without split.*
  std::vector<formats::NewTensor> tensors;
};

// What to write; nothing is converted before the tensors' `write` is called. `model` must be F32,
// F16 or BF16 (kInvalidInput otherwise) and outlives the result. `threads` convert rows side by
// side.
Quantized quantize(const formats::ModelFile& model, const quant::Mix& mix, int threads);

}  // namespace cria::create
