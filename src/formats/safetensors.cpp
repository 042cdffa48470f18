// safetensors.cpp - Hugging Face's tensor files: a little-endian header length, a JSON header, the
// data.
//
// {"name": {"dtype": "BF16", "shape": [out, in], "data_offsets": [begin, end]}, "__metadata__":
// {...}} Shapes are {slowest, ..., fastest}; offsets count from the end of the header.

#include "base/error.h"
#include "base/json.h"
#include "formats/model_file.h"

#include <algorithm>
#include <set>
#include <unordered_set>

namespace cria::formats {
namespace {

constexpr int64_t kMaxHeaderBytes = int64_t{100} << 20;  // the format's own limit

struct TypeName {
  std::string_view name;
  quant::DType dtype;
};
constexpr std::array kTypes = {
    TypeName{"F64", quant::DType::kF64}, TypeName{"F32", quant::DType::kF32},
    TypeName{"F16", quant::DType::kF16}, TypeName{"BF16", quant::DType::kBF16},
    TypeName{"I64", quant::DType::kI64}, TypeName{"I32", quant::DType::kI32},
    TypeName{"I16", quant::DType::kI16}, TypeName{"I8", quant::DType::kI8},
    TypeName{"U8", quant::DType::kI8},   TypeName{"BOOL", quant::DType::kI8},
};

quant::DType dtype_of(const Json& entry) {
  const std::string name = json_string(entry, "dtype").value_or("");
  for (const TypeName& type : kTypes)
    if (type.name == name) return type.dtype;
  fail(ErrorKind::kUnsupported, "dtype \"{}\" is not supported", name);
}

int64_t integer_at(const Json& list, size_t i) {
  if (!list[i].is_number_integer() ||
      (list[i].is_number_unsigned() && list[i].get<uint64_t>() > uint64_t{INT64_MAX}))
    fail(ErrorKind::kInvalidInput, "{} is not a size", dump_json(list[i]));
  const auto value = list[i].get<int64_t>();
  if (value < 0) fail(ErrorKind::kInvalidInput, "{} is negative", value);
  return value;
}

const Json& list_at(const Json& entry, std::string_view key, size_t most) {
  const Json* list = json_find(entry, key);
  if (list == nullptr || !list->is_array() || list->size() > most)
    fail(ErrorKind::kInvalidInput, "\"{}\" is not a list of at most {} numbers", key, most);
  return *list;
}

// Dimensions beyond four are merged into the slowest: only picture and video kernels have them.
int64_t read_shape(const Json& shape, TensorInfo& tensor) {
  int64_t elements = 1;
  tensor.shape = {1, 1, 1, 1};
  tensor.rank = static_cast<int>(std::min<size_t>(4, shape.size()));
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t dim = integer_at(shape, shape.size() - 1 - i);
    int64_t& merged = tensor.shape[std::min<size_t>(3, i)];
    if (__builtin_mul_overflow(elements, dim, &elements) ||
        __builtin_mul_overflow(merged, dim, &merged))
      fail(ErrorKind::kInvalidInput, "shape {} is too large", dump_json(shape));
  }
  return elements;
}

TensorInfo read_tensor(const std::string& name, const Json& entry,
                       const std::shared_ptr<const File>& file, int64_t data_start) {
  if (!entry.is_object()) fail(ErrorKind::kInvalidInput, "not described by an object");
  TensorInfo tensor{.name = name, .dtype = dtype_of(entry), .file = file};
  const int64_t elements = read_shape(list_at(entry, "shape", 8), tensor);
  const Json& offsets = list_at(entry, "data_offsets", 2);
  if (offsets.size() != 2) fail(ErrorKind::kInvalidInput, "data_offsets are not two numbers");
  const int64_t begin = integer_at(offsets, 0), end = integer_at(offsets, 1);
  const int64_t available = file->size() - data_start;
  if (begin > end || end > available)
    fail(ErrorKind::kInvalidInput, "data_offsets {} to {} leave the {} bytes of data", begin, end,
         available);
  const auto bytes = quant::row_bytes(tensor.dtype, elements);
  if (!bytes || *bytes != end - begin)
    fail(ErrorKind::kInvalidInput, "{} bytes of data do not fit its shape", end - begin);
  tensor.offset = data_start + begin;
  tensor.bytes = end - begin;
  return tensor;
}

void read_shard(const fs::path& path, ModelFile& model, std::unordered_set<std::string>& seen) {
  in_context(path.string(), [&] {
    const auto file = File::open(path);
    std::array<std::byte, 8> length{};
    file->read_at(0, length);
    uint64_t header_bytes = 0;
    for (size_t i = 0; i < 8; ++i) header_bytes |= std::to_integer<uint64_t>(length[i]) << (8 * i);
    const auto limit = static_cast<uint64_t>(std::min(kMaxHeaderBytes, file->size() - 8));
    if (header_bytes > limit)
      fail(ErrorKind::kInvalidInput, "a header of {} bytes, at most {} fit", header_bytes, limit);
    std::string header(header_bytes, '\0');
    file->read_at(8, std::as_writable_bytes(std::span(header)));
    const Json json =
        parse_json(header, {.max_bytes = static_cast<size_t>(kMaxHeaderBytes), .max_depth = 8});
    if (!json.is_object()) fail(ErrorKind::kInvalidInput, "the header is not an object");
    for (const auto& [name, entry] : json.items()) {
      if (name == "__metadata__") continue;
      if (!seen.insert(name).second)
        fail(ErrorKind::kInvalidInput, "the tensor \"{}\" occurs twice", name);
      in_context(name, [&] {
        model.tensors.push_back(
            read_tensor(name, entry, file, 8 + static_cast<int64_t>(header_bytes)));
      });
    }
  });
}

// The shards that an index names, else every *.safetensors of the folder.
std::set<fs::path> shards_of(const fs::path& folder) {
  std::set<fs::path> shards;
  const fs::path index = folder / "model.safetensors.index.json";
  if (!fs::exists(index)) {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder))
      if (entry.path().extension() == ".safetensors") shards.insert(entry.path());
    return shards;
  }
  const Json json = parse_json(read_text_file(index, kMaxHeaderBytes));
  const Json* map = json_find(json, "weight_map");
  if (map == nullptr || !map->is_object())
    fail(ErrorKind::kInvalidInput, "{} has no weight_map", index.string());
  for (const auto& [name, shard] : map->items()) {
    const std::string file = shard.is_string() ? shard.get<std::string>() : std::string();
    if (file.empty() || fs::path(file).filename() != file || !file.ends_with(".safetensors"))
      fail(ErrorKind::kInvalidInput, "{}: \"{}\" is not a file beside it", index.string(), file);
    shards.insert(folder / file);
  }
  return shards;
}

}  // namespace

std::shared_ptr<const ModelFile> open_safetensors(const fs::path& file_or_folder) {
  auto model = std::make_shared<ModelFile>();
  model->path = file_or_folder.string();
  const std::set<fs::path> shards =
      fs::is_directory(file_or_folder) ? shards_of(file_or_folder) : std::set{file_or_folder};
  if (shards.empty())
    fail(ErrorKind::kNotFound, "{} holds no *.safetensors file", file_or_folder.string());
  std::unordered_set<std::string> seen;
  for (const fs::path& shard : shards) read_shard(shard, *model, seen);
  return model;
}

}  // namespace cria::formats
