// gguf_writer.cpp - header, metadata, tensor infos, then the data of each tensor, padded.

#include "formats/gguf_writer.h"

#include "base/error.h"
#include "formats/gguf.h"
#include "formats/new_file.h"

#include <bit>
#include <limits>
#include <unordered_set>

namespace cria::formats {
namespace {

class Bytes {
 public:
  template <class T>
  void put(T value) {
    const auto* start = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), start, start + sizeof(T));
  }
  void text(const std::string& value, uint64_t limit) {
    if (value.size() > limit)
      fail(ErrorKind::kInvalidInput, "a string of {} bytes, at most {} can be stored", value.size(),
           limit);
    put<uint64_t>(value.size());
    const auto* start = reinterpret_cast<const std::byte*>(value.data());
    bytes_.insert(bytes_.end(), start, start + value.size());
  }
  void pad(int64_t alignment) {
    const auto step = static_cast<size_t>(alignment);
    bytes_.resize((bytes_.size() + step - 1) / step * step);
  }
  const std::vector<std::byte>& all() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

template <class T>
void put_ranged(Bytes& out, int64_t value) {
  if (value < int64_t{std::numeric_limits<T>::min()} ||
      (sizeof(T) < 8 && value > static_cast<int64_t>(std::numeric_limits<T>::max())))
    fail(ErrorKind::kInvalidInput, "{} does not fit its type", value);
  out.put(static_cast<T>(value));
}

void put_integer(Bytes& out, GgufType type, int64_t value) {
  switch (type) {
    case GgufType::kU8:
      return put_ranged<uint8_t>(out, value);
    case GgufType::kI8:
      return put_ranged<int8_t>(out, value);
    case GgufType::kU16:
      return put_ranged<uint16_t>(out, value);
    case GgufType::kI16:
      return put_ranged<int16_t>(out, value);
    case GgufType::kU32:
      return put_ranged<uint32_t>(out, value);
    case GgufType::kI32:
      return put_ranged<int32_t>(out, value);
    case GgufType::kI64:
      return out.put(value);
    case GgufType::kU64:
      if (value < 0) fail(ErrorKind::kInvalidInput, "{} does not fit its type", value);
      return out.put(static_cast<uint64_t>(value));
    default:
      fail(ErrorKind::kInvalidInput, "an integer has the type id {}", static_cast<int>(type));
  }
}

void put_one(Bytes& out, GgufType type, int64_t value) {
  put_integer(out, type, value);
}
void put_one(Bytes& out, GgufType type, uint64_t value) {
  if (type != GgufType::kU64) fail(ErrorKind::kInvalidInput, "{} needs the type uint64", value);
  out.put(value);
}
void put_one(Bytes& out, GgufType type, double value) {
  if (type == GgufType::kF32)
    out.put(static_cast<float>(value));
  else if (type == GgufType::kF64)
    out.put(value);
  else
    fail(ErrorKind::kInvalidInput, "a number with a fraction has the type id {}",
         static_cast<int>(type));
}
void put_one(Bytes& out, GgufType type, bool value) {
  if (type != GgufType::kBool)
    fail(ErrorKind::kInvalidInput, "true or false has the type id {}", static_cast<int>(type));
  out.put(static_cast<uint8_t>(value));
}
void put_one(Bytes& out, GgufType type, const std::string& value) {
  if (type != GgufType::kString)
    fail(ErrorKind::kInvalidInput, "a text has the type id {}", static_cast<int>(type));
  out.text(value, kMaxStringBytes);
}

void put_value(Bytes& out, const Value& value, int depth);

void put_array_head(Bytes& out, const Value& value, size_t count) {
  if (value.gguf_type != static_cast<uint32_t>(GgufType::kArray))
    fail(ErrorKind::kInvalidInput, "a list has the type id {}", value.gguf_type);
  if (count > kMaxArray)
    fail(ErrorKind::kInvalidInput, "a list of {} values, the limit is {}", count, kMaxArray);
  out.put(value.gguf_element_type);
  out.put<uint64_t>(count);
}

template <class T>
void put_list(Bytes& out, const Value& value, const std::vector<T>& list) {
  put_array_head(out, value, list.size());
  for (const auto& element : list)
    put_one(out, static_cast<GgufType>(value.gguf_element_type), static_cast<const T&>(element));
}

void put_lists(Bytes& out, const Value& value, const Array& lists, int depth) {
  put_array_head(out, value, lists.size());
  for (const Value& list : lists) {
    if (value.gguf_element_type != static_cast<uint32_t>(GgufType::kArray) ||
        list.gguf_type != static_cast<uint32_t>(GgufType::kArray))
      fail(ErrorKind::kInvalidInput, "a list of lists holds something else");
    put_value(out, list, depth + 1);
  }
}

void put_value(Bytes& out, const Value& value, int depth) {
  if (depth >= kMaxArrayDepth)
    fail(ErrorKind::kInvalidInput, "lists are nested deeper than {}", kMaxArrayDepth);
  const auto type = static_cast<GgufType>(value.gguf_type);
  std::visit(
      [&]<class T>(const T& data) {
        if constexpr (std::is_same_v<T, Array>)
          put_lists(out, value, data, depth);
        else if constexpr (requires { typename T::allocator_type; } &&
                           !std::is_same_v<T, std::string>)
          put_list(out, value, data);
        else
          put_one(out, type, data);
      },
      value.data);
}

int64_t alignment_of(const Metadata& metadata) {
  for (const auto& [key, value] : metadata) {
    if (key != "general.alignment") continue;
    const auto* number = std::get_if<int64_t>(&value.data);
    if (number == nullptr || *number <= 0 || *number > kMaxAlignment ||
        !std::has_single_bit(static_cast<uint64_t>(*number)))
      fail(ErrorKind::kInvalidInput, "general.alignment must be a power of two up to {}",
           kMaxAlignment);
    return *number;
  }
  return kDefaultAlignment;
}

void put_metadata(Bytes& out, const Metadata& metadata) {
  std::unordered_set<std::string_view> seen;
  for (const auto& [key, value] : metadata) {
    if (!seen.insert(key).second)
      fail(ErrorKind::kInvalidInput, "metadata key \"{}\" appears twice", key);
    in_context(fmt::format("metadata \"{}\"", key), [&] {
      out.text(key, kMaxKeyBytes);
      out.put(value.gguf_type);
      put_value(out, value, 0);
    });
  }
}

int64_t tensor_size(const NewTensor& tensor) {
  if (tensor.rank < 0 || tensor.rank > 4)
    fail(ErrorKind::kInvalidInput, "has {} dimensions, at most 4 can be stored", tensor.rank);
  for (size_t i = 0; i < 4; ++i)
    if (tensor.shape[i] <= 0 || (i >= static_cast<size_t>(tensor.rank) && tensor.shape[i] != 1))
      fail(ErrorKind::kInvalidInput, "dimension {} is {}", i, tensor.shape[i]);
  const auto row = quant::row_bytes(tensor.dtype, tensor.shape[0]);
  const quant::DTypeInfo& type = quant::info(tensor.dtype);
  if (!row)
    fail(ErrorKind::kInvalidInput, "rows of {} values are not whole {} blocks of {}",
         tensor.shape[0], type.name, type.block_elements);
  int64_t bytes = *row;
  for (size_t i = 1; i < 4; ++i)
    if (__builtin_mul_overflow(bytes, tensor.shape[i], &bytes))
      fail(ErrorKind::kInvalidInput, "its size overflows 64 bits");
  return bytes;
}

struct Layout {
  Bytes head;                  // up to and with the padding before the data
  std::vector<int64_t> bytes;  // of each tensor
  int64_t alignment = kDefaultAlignment;
  int64_t data_bytes = 0;  // with the padding after each
};

Layout lay_out(const Metadata& metadata, const std::vector<NewTensor>& tensors) {
  Layout layout{.alignment = alignment_of(metadata)};
  Bytes& out = layout.head;
  out.put(kGgufMagic);
  out.put(uint32_t{3});
  out.put<uint64_t>(tensors.size());
  out.put<uint64_t>(metadata.size());
  put_metadata(out, metadata);
  std::unordered_set<std::string_view> seen;
  for (const NewTensor& tensor : tensors) {
    in_context(fmt::format("tensor \"{}\"", tensor.name), [&] {
      if (!seen.insert(tensor.name).second) fail(ErrorKind::kInvalidInput, "appears twice");
      const int64_t bytes = tensor_size(tensor);
      out.text(tensor.name, kMaxKeyBytes);
      out.put(static_cast<uint32_t>(tensor.rank));
      for (size_t i = 0; i < static_cast<size_t>(tensor.rank); ++i)
        out.put(static_cast<uint64_t>(tensor.shape[i]));
      out.put(static_cast<uint32_t>(tensor.dtype));
      out.put(static_cast<uint64_t>(layout.data_bytes));
      layout.bytes.push_back(bytes);
      int64_t end = 0;
      if (__builtin_add_overflow(layout.data_bytes, bytes, &end) || end > INT64_MAX / 2)
        fail(ErrorKind::kInvalidInput, "the file would be larger than 64 bits can count");
      layout.data_bytes = (end + layout.alignment - 1) / layout.alignment * layout.alignment;
    });
  }
  out.pad(layout.alignment);
  return layout;
}

void write_tensor(const ByteSink& sink, const NewTensor& tensor, int64_t bytes, int64_t alignment) {
  in_context(fmt::format("tensor \"{}\"", tensor.name), [&] {
    CRIA_CHECK(tensor.write != nullptr, "a tensor to write has a source");
    int64_t written = 0;
    tensor.write([&](std::span<const std::byte> part) {
      if (static_cast<int64_t>(part.size()) > bytes - written)
        fail(ErrorKind::kInternal, "its source gives more than the {} bytes of its shape", bytes);
      written += static_cast<int64_t>(part.size());
      sink(part);
    });
    if (written != bytes)
      fail(ErrorKind::kInternal, "its source gives {} bytes, its shape has {}", written, bytes);
  });
  const std::vector<std::byte> padding(
      static_cast<size_t>((alignment - bytes % alignment) % alignment));
  if (!padding.empty()) sink(padding);
}

Value list_of(GgufType type, auto values) {
  return {.data = std::move(values),
          .gguf_type = static_cast<uint32_t>(GgufType::kArray),
          .gguf_element_type = static_cast<uint32_t>(type)};
}

Value one_of(GgufType type, auto value) {
  return {.data = std::move(value), .gguf_type = static_cast<uint32_t>(type)};
}

}  // namespace

void write_gguf(const ByteSink& sink, const Metadata& metadata,
                const std::vector<NewTensor>& tensors) {
  const Layout layout = lay_out(metadata, tensors);
  sink(layout.head.all());
  for (size_t i = 0; i < tensors.size(); ++i)
    write_tensor(sink, tensors[i], layout.bytes[i], layout.alignment);
}

void write_gguf(const fs::path& path, const Metadata& metadata,
                const std::vector<NewTensor>& tensors) {
  in_context(path.string(), [&] {
    NewFile file(path);
    write_gguf([&](std::span<const std::byte> bytes) { file.write(bytes); }, metadata, tensors);
    file.commit();
  });
}

int64_t gguf_bytes(const Metadata& metadata, const std::vector<NewTensor>& tensors) {
  const Layout layout = lay_out(metadata, tensors);
  return static_cast<int64_t>(layout.head.all().size()) + layout.data_bytes;
}

NewTensor copy_of(const TensorInfo& tensor) {
  const auto write = [file = tensor.file, offset = tensor.offset,
                      bytes = tensor.bytes](const ByteSink& sink) {
    constexpr int64_t kPart = int64_t{1} << 20;
    std::vector<std::byte> buffer(static_cast<size_t>(std::min(bytes, kPart)));
    for (int64_t done = 0; done < bytes;) {
      const auto part = std::span(buffer).first(static_cast<size_t>(std::min(bytes - done, kPart)));
      file->read_at(offset + done, part);
      sink(part);
      done += static_cast<int64_t>(part.size());
    }
  };
  return {tensor.name, tensor.dtype, tensor.shape, tensor.rank, write};
}

Value value_u32(uint32_t value) {
  return one_of(GgufType::kU32, int64_t{value});
}
Value value_f32(float value) {
  return one_of(GgufType::kF32, double{value});
}
Value value_bool(bool value) {
  return one_of(GgufType::kBool, value);
}
Value value_string(std::string value) {
  return one_of(GgufType::kString, std::move(value));
}
Value value_i32s(std::vector<int64_t> values) {
  return list_of(GgufType::kI32, std::move(values));
}
Value value_f32s(std::vector<double> values) {
  return list_of(GgufType::kF32, std::move(values));
}
Value value_strings(std::vector<std::string> values) {
  return list_of(GgufType::kString, std::move(values));
}

}  // namespace cria::formats
