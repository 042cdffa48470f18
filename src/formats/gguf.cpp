// gguf.cpp - reads GGUF v2 and v3.

#include "formats/gguf.h"

#include "base/shard_name.h"
#include "formats/model_file.h"
#include "formats/reader.h"

#include <bit>
#include <functional>
#include <optional>
#include <unordered_set>

namespace cria::formats {
namespace {

// Smallest encoding of one element: what bounds an array's count before anything is allocated.
uint64_t least_bytes(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kI16:
      return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32:
      return 4;
    case GgufType::kArray:
      return 12;
    default:
      return 8;
  }
}

GgufType read_type(Reader& in) {
  const auto id = in.value<uint32_t>();
  if (id > static_cast<uint32_t>(GgufType::kF64))
    fail(ErrorKind::kInvalidInput, "unknown metadata type {}", id);
  return static_cast<GgufType>(id);
}

// Signed 64 bits hold every integer type but the upper half of u64.
int64_t read_integer(Reader& in, GgufType type) {
  switch (type) {
    case GgufType::kU8:
      return in.value<uint8_t>();
    case GgufType::kI8:
      return in.value<int8_t>();
    case GgufType::kU16:
      return in.value<uint16_t>();
    case GgufType::kI16:
      return in.value<int16_t>();
    case GgufType::kU32:
      return in.value<uint32_t>();
    case GgufType::kI32:
      return in.value<int32_t>();
    default:
      return in.value<int64_t>();
  }
}

bool is_integer(GgufType type) {
  return type <= GgufType::kI32 || type == GgufType::kU64 || type == GgufType::kI64;
}

double read_float(Reader& in, GgufType type) {
  return type == GgufType::kF32 ? static_cast<double>(in.value<float>()) : in.value<double>();
}

bool read_bool(Reader& in) {
  const auto byte = in.value<uint8_t>();
  if (byte > 1) fail(ErrorKind::kInvalidInput, "a bool is {} instead of 0 or 1", byte);
  return byte == 1;
}

Value read_value(Reader& in, GgufType type, int depth);

template <class T, class Read>
std::vector<T> read_elements(uint64_t count, Read read) {
  std::vector<T> values;
  values.reserve(count);
  for (uint64_t i = 0; i < count; ++i) values.push_back(read());
  return values;
}

Value read_array(Reader& in, int depth) {
  if (depth >= kMaxArrayDepth)
    fail(ErrorKind::kInvalidInput, "arrays are nested deeper than {}", kMaxArrayDepth);
  const GgufType type = read_type(in);
  const auto count = in.value<uint64_t>();
  if (count > kMaxArray)
    fail(ErrorKind::kInvalidInput, "array of {} elements, the limit is {}", count, kMaxArray);
  in.expect(count, least_bytes(type), "array elements");
  Value value = {.data = false,
                 .gguf_type = static_cast<uint32_t>(GgufType::kArray),
                 .gguf_element_type = static_cast<uint32_t>(type)};
  if (type == GgufType::kArray)
    value.data = read_elements<Value>(count, [&] { return read_array(in, depth + 1); });
  else if (type == GgufType::kString)
    value.data = read_elements<std::string>(count, [&] { return in.text(kMaxStringBytes); });
  else if (type == GgufType::kBool)
    value.data = read_elements<bool>(count, [&] { return read_bool(in); });
  else if (is_integer(type))
    value.data = read_elements<int64_t>(count, [&] { return read_integer(in, type); });
  else
    value.data = read_elements<double>(count, [&] { return read_float(in, type); });
  return value;
}

Value read_value(Reader& in, GgufType type, int depth) {
  Value value = {.data = false, .gguf_type = static_cast<uint32_t>(type), .gguf_element_type = 0};
  if (type == GgufType::kArray) return read_array(in, depth);
  if (type == GgufType::kString)
    value.data = in.text(kMaxStringBytes);
  else if (type == GgufType::kBool)
    value.data = read_bool(in);
  else if (type == GgufType::kU64) {
    const auto number = in.value<uint64_t>();
    if (number > uint64_t{INT64_MAX})
      value.data = number;
    else
      value.data = static_cast<int64_t>(number);
  } else if (is_integer(type))
    value.data = read_integer(in, type);
  else
    value.data = read_float(in, type);
  return value;
}

int64_t read_alignment(const ModelFile& model) {
  const Value* value = model.find("general.alignment");
  if (value == nullptr) return 32;
  const auto* number = std::get_if<int64_t>(&value->data);
  if (number == nullptr || *number <= 0 || *number > kMaxAlignment ||
      !std::has_single_bit(static_cast<uint64_t>(*number)))
    fail(ErrorKind::kInvalidInput, "general.alignment is {}, it must be a power of two up to {}",
         number == nullptr ? std::string("not an integer") : std::to_string(*number),
         kMaxAlignment);
  return *number;
}

void read_metadata(Reader& in, uint64_t count, ModelFile& model) {
  in.expect(count, 13, "metadata entries");  // key length, type, one byte
  std::unordered_set<std::string> seen;
  for (uint64_t i = 0; i < count; ++i) {
    const std::string key = in.text(kMaxKeyBytes);
    if (!seen.insert(key).second)
      fail(ErrorKind::kInvalidInput, "metadata key \"{}\" appears twice", key);
    in_context(fmt::format("metadata \"{}\"", key), [&] {
      const GgufType type = read_type(in);
      model.metadata.emplace_back(key, read_value(in, type, 0));
    });
  }
}

// Everything but the offset, which is relative to data that begins after the last of these.
TensorInfo read_tensor(Reader& in) {
  TensorInfo tensor = {.name = in.text(kMaxKeyBytes)};
  in_context(fmt::format("tensor \"{}\"", tensor.name), [&] {
    const auto rank = in.value<uint32_t>();
    if (rank > 4) fail(ErrorKind::kInvalidInput, "has {} dimensions, at most 4 are known", rank);
    tensor.rank = static_cast<int>(rank);
    tensor.shape = {1, 1, 1, 1};
    for (size_t i = 0; i < rank; ++i) {
      const auto size = in.value<uint64_t>();
      if (size == 0 || size > uint64_t{INT64_MAX})
        fail(ErrorKind::kInvalidInput, "dimension {} is {}", i, size);
      tensor.shape[i] = static_cast<int64_t>(size);
    }
    const auto id = in.value<uint32_t>();
    const quant::DTypeInfo* type = quant::find_dtype(int64_t{id});
    if (type == nullptr)
      fail(ErrorKind::kUnsupported, "its type {} is unknown to this version", id);
    tensor.dtype = type->dtype;
    const auto row = quant::row_bytes(type->dtype, tensor.shape[0]);
    if (!row)
      fail(ErrorKind::kInvalidInput, "rows of {} values are not whole {} blocks of {}",
           tensor.shape[0], type->name, type->block_elements);
    tensor.bytes = *row;
    int64_t elements = tensor.shape[0];
    for (size_t i = 1; i < 4; ++i)
      if (__builtin_mul_overflow(tensor.bytes, tensor.shape[i], &tensor.bytes) ||
          __builtin_mul_overflow(elements, tensor.shape[i], &elements))
        fail(ErrorKind::kInvalidInput, "its size overflows 64 bits");
    const auto offset = in.value<uint64_t>();
    if (offset > uint64_t{INT64_MAX})
      fail(ErrorKind::kInvalidInput, "its offset {} is out of range", offset);
    tensor.offset = static_cast<int64_t>(offset);
  });
  return tensor;
}

void place_tensor(TensorInfo& tensor, int64_t data_start, int64_t alignment,
                  const std::shared_ptr<const File>& file) {
  if (tensor.offset % alignment != 0)
    fail(ErrorKind::kInvalidInput, "tensor \"{}\": offset {} is not a multiple of the alignment {}",
         tensor.name, tensor.offset, alignment);
  int64_t end = 0;
  if (__builtin_add_overflow(data_start, tensor.offset, &tensor.offset) ||
      __builtin_add_overflow(tensor.offset, tensor.bytes, &end) || end > file->size())
    fail(
        ErrorKind::kInvalidInput,
        "tensor \"{}\": {} bytes at {} reach beyond the end of the file at {}; it may be truncated",
        tensor.name, tensor.bytes, tensor.offset, file->size());
  tensor.file = file;
}

ModelFile read_one(const std::shared_ptr<const File>& file) {
  const Mapping mapping(file, file->size());
  Reader in(mapping.bytes());
  ModelFile model;
  model.path = file->name();
  if (file->size() < 4 || in.value<uint32_t>() != kGgufMagic)
    fail(ErrorKind::kInvalidInput, "not a GGUF file: it does not begin with \"GGUF\"");
  model.version = in.value<uint32_t>();
  if (model.version == 0x02000000 || model.version == 0x03000000)
    fail(ErrorKind::kUnsupported, "big-endian GGUF files are not supported");
  if (model.version != 2 && model.version != 3)
    fail(ErrorKind::kUnsupported, "GGUF version {} is not supported, only 2 and 3", model.version);
  const auto tensors = in.value<uint64_t>();
  const auto entries = in.value<uint64_t>();
  read_metadata(in, entries, model);
  model.alignment = read_alignment(model);
  in.expect(tensors, 24, "tensors");  // name length, rank, type, offset
  model.tensors.reserve(tensors);
  std::unordered_set<std::string> seen;
  for (uint64_t i = 0; i < tensors; ++i) {
    model.tensors.push_back(read_tensor(in));
    if (!seen.insert(model.tensors.back().name).second)
      fail(ErrorKind::kInvalidInput, "tensor \"{}\" appears twice", model.tensors.back().name);
  }
  const int64_t data_start =
      (in.position() + model.alignment - 1) / model.alignment * model.alignment;
  for (TensorInfo& tensor : model.tensors) place_tensor(tensor, data_start, model.alignment, file);
  return model;
}

int64_t integer_or(const ModelFile& model, std::string_view key, int64_t fallback) {
  const Value* value = model.find(key);
  const auto* number = value == nullptr ? nullptr : std::get_if<int64_t>(&value->data);
  return number == nullptr ? fallback : *number;
}

// Gives the file of part `number`, from 1 on.
using OpenPart = std::function<std::shared_ptr<const File>(int64_t number)>;

ModelFile read_shard(const std::shared_ptr<const File>& file, int64_t number, int64_t count) {
  ModelFile part = read_one(file);
  const int64_t own_number = integer_or(part, "split.no", -1) + 1;
  const int64_t own_count = integer_or(part, "split.count", -1);
  if (own_number != number || own_count != count)
    fail(ErrorKind::kInvalidInput, "says that it is part {} of {}, not {} of {}", own_number,
         own_count, number, count);
  return part;
}

// Only the first part has the model's metadata; the others add tensors.
void add_shards(ModelFile& model, int64_t count, const OpenPart& open_part) {
  if (count > kMaxShards)
    fail(ErrorKind::kInvalidInput, "split.count is {}, at most {} are read", count, kMaxShards);
  std::unordered_set<std::string> seen;
  for (const TensorInfo& tensor : model.tensors) seen.insert(tensor.name);
  for (int64_t number = 2; number <= count; ++number) {
    const auto file = open_part(number);
    in_context(file->name(), [&] {
      for (TensorInfo& tensor : read_shard(file, number, count).tensors) {
        if (!seen.insert(tensor.name).second)
          fail(ErrorKind::kInvalidInput, "tensor \"{}\" is in an earlier part too", tensor.name);
        model.tensors.push_back(std::move(tensor));
      }
    });
  }
  const auto have = static_cast<int64_t>(model.tensors.size());
  const int64_t want = integer_or(model, "split.tensors.count", have);
  if (want != have)
    fail(ErrorKind::kInvalidInput, "the {} parts hold {} tensors, split.tensors.count is {}", count,
         have, want);
}

// A part beside the first one, by its name.
std::shared_ptr<const File> open_sibling(const std::string& first, int64_t number, int64_t count) {
  const auto name = parse_shard_name(first);
  if (!name || name->number != 1 || name->count != count)
    fail(ErrorKind::kInvalidInput, "one of {} parts: open the one named ...-00001-of-{:05}.gguf",
         count, count);
  return File::open(name->part(static_cast<int>(number)));
}

}  // namespace

const Value* ModelFile::find(std::string_view key) const {
  for (const auto& [name, value] : metadata)
    if (name == key) return &value;
  return nullptr;
}

const TensorInfo* ModelFile::find_tensor(std::string_view name) const {
  for (const TensorInfo& tensor : tensors)
    if (tensor.name == name) return &tensor;
  return nullptr;
}

std::shared_ptr<const ModelFile> open_gguf(std::shared_ptr<const File> file) {
  return in_context(file->name(), [&] {
    auto model = std::make_shared<ModelFile>(read_one(file));
    if (const int64_t count = integer_or(*model, "split.count", 1); count > 1)
      add_shards(*model, count,
                 [&](int64_t number) { return open_sibling(model->path, number, count); });
    return std::shared_ptr<const ModelFile>(std::move(model));
  });
}

std::shared_ptr<const ModelFile> open_gguf_parts(
    const std::vector<std::shared_ptr<const File>>& parts) {
  CRIA_CHECK(!parts.empty(), "there is a first part");
  return in_context(parts.front()->name(), [&] {
    auto model = std::make_shared<ModelFile>(read_shard(parts.front(), 1, std::ssize(parts)));
    add_shards(*model, std::ssize(parts),
               [&](int64_t number) { return parts[static_cast<size_t>(number - 1)]; });
    return std::shared_ptr<const ModelFile>(std::move(model));
  });
}

std::shared_ptr<const ModelFile> open_gguf(const fs::path& path) {
  return open_gguf(File::open(path));
}

}  // namespace cria::formats
