#include "create/quantize.h"

#include "base/error.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

namespace cria::create {
namespace {

using formats::ByteSink;
using formats::ModelFile;
using formats::TensorInfo;
using formats::Value;

constexpr int64_t kPartElements = int64_t{1}
                                  << 18;  // 1 MiB of floats: what a thread converts at once

int64_t integer_or(const ModelFile& model, const std::string& key, int64_t fallback) {
  const Value* value = model.find(key);
  if (value == nullptr) return fallback;
  if (const auto* number = std::get_if<int64_t>(&value->data)) return *number;
  // Models whose layers differ have a list; the recipes want one typical number.
  const auto* list = std::get_if<std::vector<int64_t>>(&value->data);
  return list == nullptr || list->empty() ? fallback : *std::ranges::max_element(*list);
}

std::string architecture_of(const ModelFile& model) {
  const Value* value = model.find("general.architecture");
  const auto* text = value == nullptr ? nullptr : std::get_if<std::string>(&value->data);
  if (text == nullptr)
    fail(ErrorKind::kInvalidInput, "metadata \"general.architecture\" is missing");
  return *text;
}

void require_plain(const ModelFile& model) {
  for (const TensorInfo& tensor : model.tensors)
    if (quant::info(tensor.dtype).block_elements != 1)
      fail(ErrorKind::kInvalidInput,
           "quantization is only supported for F16, BF16 and F32 models; \"{}\" is {}", tensor.name,
           quant::info(tensor.dtype).name);
}

std::vector<quant::DType> types_for(const ModelFile& model, const quant::Mix& mix) {
  const std::string arch = architecture_of(model);
  const quant::MixModel facts{.architecture = arch,
                              .layers = integer_or(model, arch + ".block_count", 0),
                              .heads = integer_or(model, arch + ".attention.head_count", 1),
                              .kv_heads = integer_or(model, arch + ".attention.head_count_kv", 1),
                              .experts = integer_or(model, arch + ".expert_count", 0)};
  std::vector<quant::MixTensor> tensors;
  for (const TensorInfo& tensor : model.tensors)
    tensors.push_back({tensor.name, tensor.dtype, tensor.shape[0], tensor.rank});
  return quant::choose_types(mix, facts, tensors);
}

// Rows [first, first + rows) of a tensor in the new type.
std::vector<std::byte> convert(const TensorInfo& tensor, const quant::DTypeInfo& to, int64_t first,
                               int64_t rows) {
  const quant::DTypeInfo& from = quant::info(tensor.dtype);
  const int64_t row = tensor.shape[0], count = row * rows;
  std::vector<std::byte> source(static_cast<size_t>(count * from.block_bytes));
  tensor.file->read_at(tensor.offset + first * row * from.block_bytes, source);
  std::vector<float> values(static_cast<size_t>(count));
  from.dequantize(source.data(), values.data(), count);
  std::vector<std::byte> blocks(static_cast<size_t>(count / to.block_elements * to.block_bytes));
  to.quantize(values.data(), blocks.data(), count);
  return blocks;
}

// Runs body(0) ... body(count - 1) on as many threads; the first Error of any is thrown.
void side_by_side(int count, const std::function<void(int)>& body) {
  std::vector<std::exception_ptr> errors(static_cast<size_t>(count));
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < count; ++i)
      threads.emplace_back([&, i] {
        try {
          body(i);
        } catch (...) {
          errors[static_cast<size_t>(i)] = std::current_exception();
        }
      });
  }
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

void write_converted(const TensorInfo& tensor, const quant::DTypeInfo& to, int threads,
                     const ByteSink& sink) {
  const int64_t all = tensor.shape[1] * tensor.shape[2] * tensor.shape[3];
  const int64_t step = std::max<int64_t>(1, kPartElements / tensor.shape[0]);
  std::vector<std::vector<std::byte>> parts(static_cast<size_t>(threads));
  for (int64_t first = 0; first < all; first += step * threads) {
    const auto count =
        static_cast<int>(std::min<int64_t>(threads, (all - first + step - 1) / step));
    side_by_side(count, [&](int i) {
      const int64_t start = first + i * step;
      parts[static_cast<size_t>(i)] = convert(tensor, to, start, std::min(step, all - start));
    });
    for (int i = 0; i < count; ++i) sink(parts[static_cast<size_t>(i)]);
  }
}

formats::Metadata metadata_for(const ModelFile& model, const quant::Mix& mix) {
  formats::Metadata metadata;
  for (const auto& [key, value] : model.metadata)
    if (!key.starts_with("split.") && key != "general.file_type" &&
        key != "general.quantization_version")
      metadata.emplace_back(key, value);
  metadata.emplace_back("general.file_type",
                        formats::value_u32(static_cast<uint32_t>(mix.file_type)));
  metadata.emplace_back("general.quantization_version", formats::value_u32(2));
  return metadata;
}

}  // namespace

const quant::Mix& require_mix(std::string_view name) {
  if (const quant::Mix* mix = quant::find_mix(name)) return *mix;
  std::string names;
  for (const quant::Mix& mix : quant::all_mixes())
    names += fmt::format("{}{}", names.empty() ? "" : ", ", mix.name);
  fail(ErrorKind::kInvalidInput, "unsupported quantization type {} - supported types are {}", name,
       names);
}

Quantized quantize(const ModelFile& model, const quant::Mix& mix, int threads) {
  CRIA_CHECK(threads > 0, "at least one thread converts");
  require_plain(model);
  const std::vector<quant::DType> types = types_for(model, mix);
  Quantized result{.metadata = metadata_for(model, mix), .tensors = {}};
  for (size_t i = 0; i < types.size(); ++i) {
    const TensorInfo& tensor = model.tensors[i];
    formats::NewTensor out = formats::copy_of(tensor);
    if (types[i] != tensor.dtype) {
      out.dtype = types[i];
      out.write = [&tensor, threads, &to = quant::info(types[i])](const ByteSink& sink) {
        write_converted(tensor, to, threads, sink);
      };
    }
    result.tensors.push_back(std::move(out));
  }
  return result;
}

}  // namespace cria::create
