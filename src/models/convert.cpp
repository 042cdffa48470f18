#include "models/convert.h"

#include "base/error.h"
#include "models/convert_parts.h"

#include <array>

namespace cria::models {
namespace {

struct Row {
  std::string_view hugging_face_class;
  Conversion (*convert)(const Checkpoint&);
};

constexpr std::array kRows = {
    Row{"BertModel", convert_bert},
    Row{"BertForSequenceClassification", convert_bert},
    Row{"LlamaForCausalLM", convert_llama},
    Row{"MistralForCausalLM", convert_llama},
    Row{"Mistral3ForConditionalGeneration", convert_llama},
    Row{"SmolLM3ForCausalLM", convert_llama},
    Row{"Qwen2ForCausalLM", convert_qwen},
    Row{"Qwen3ForCausalLM", convert_qwen},
    Row{"Gemma3ForCausalLM", convert_gemma3},
    Row{"Gemma3ForConditionalGeneration", convert_gemma3},
};

std::string class_of(const Json& config) {
  const Json* list = json_find(config, "architectures");
  if (list == nullptr || !list->is_array() || list->empty() || !list->front().is_string())
    fail(ErrorKind::kInvalidInput, "config.json names no class under \"architectures\"");
  return list->front().get<std::string>();
}

Json merged(const Json& config) {
  Json all = config;
  if (const Json* text = json_find(config, "text_config"); text != nullptr && text->is_object())
    for (const auto& [key, value] : text->items()) all[key] = value;
  return all;
}

}  // namespace

Conversion convert(const Json& config, std::shared_ptr<const formats::ModelFile> checkpoint) {
  const std::string name = class_of(config);
  for (const Row& row : kRows)
    if (row.hugging_face_class == name) return row.convert({merged(config), std::move(checkpoint)});
  fail(ErrorKind::kUnsupported, "unsupported architecture \"{}\"", name);
}

std::vector<formats::NewTensor> new_tensors(const Conversion& conversion) {
  std::vector<formats::NewTensor> tensors;
  tensors.reserve(conversion.tensors.size());
  for (const ConvertedTensor& tensor : conversion.tensors)
    tensors.push_back(
        {.name = tensor.name,
         .dtype = tensor.dtype,
         .shape = tensor.shape,
         .rank = tensor.rank,
         .write = [&tensor](const formats::ByteSink& sink) { sink(tensor_bytes(tensor)); }});
  return tensors;
}

std::vector<std::byte> tensor_bytes(const ConvertedTensor& tensor) {
  std::vector<float> values = tensor.values;
  if (tensor.source != nullptr) {
    const formats::TensorInfo& source = *tensor.source;
    std::vector<std::byte> stored(static_cast<size_t>(source.bytes));
    source.file->read_at(source.offset, stored);
    if (source.dtype == tensor.dtype && !tensor.transform) return stored;

    const quant::DTypeInfo& type = quant::info(source.dtype);
    if (type.dequantize == nullptr)
      fail(ErrorKind::kUnsupported, "{}: cannot convert from {}", source.name, type.name);
    const int64_t elements = source.bytes / type.block_bytes * type.block_elements;
    values.resize(static_cast<size_t>(elements));
    type.dequantize(stored.data(), values.data(), elements);
    if (tensor.transform) tensor.transform(values);
  }
  const quant::DTypeInfo& type = quant::info(tensor.dtype);
  CRIA_CHECK(type.quantize != nullptr, "converters write types that can be written");
  const auto elements = static_cast<int64_t>(values.size());
  std::vector<std::byte> bytes(static_cast<size_t>(*quant::row_bytes(tensor.dtype, elements)));
  type.quantize(values.data(), bytes.data(), elements);
  return bytes;
}

}  // namespace cria::models
