#include "formats/describe.h"

#include "base/error.h"
#include "formats/gguf.h"

#include <algorithm>
#include <cmath>
#include <concepts>

namespace cria::formats {
namespace {

template <class T>
constexpr bool kIsList = false;
template <class T>
constexpr bool kIsList<std::vector<T>> = true;

std::string_view type_name(uint32_t type) {
  constexpr std::array<std::string_view, 13> kNames = {
      "u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "list", "u64", "i64", "f64"};
  return type < kNames.size() ? kNames[type] : "?";
}

// The longest beginning of at most `most` bytes that does not cut a UTF-8 character.
std::string_view beginning(std::string_view text, size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80) --most;
  return text.substr(0, most);
}

// A JSON string: quotes, with control characters escaped and broken UTF-8 replaced. DEL and the C1
// controls, which JSON allows but terminals obey, are escaped too.
std::string quoted(std::string_view text, size_t most) {
  const std::string_view shown = beginning(text, most);
  std::string result;
  const std::string plain = dump_json(Json(std::string(shown)));
  for (size_t i = 0; i < plain.size(); ++i) {
    const auto byte = static_cast<unsigned char>(plain[i]);
    const auto next = i + 1 < plain.size() ? static_cast<unsigned char>(plain[i + 1]) : 0u;
    if (byte == 0x7f)
      result += "\\u007f";
    else if (byte == 0xc2 && next >= 0x80 && next <= 0x9f) {
      result += fmt::format("\\u{:04x}", next);
      ++i;
    } else
      result += plain[i];
  }
  if (shown.size() < text.size()) result += fmt::format("... ({} bytes)", text.size());
  return result;
}

std::string render(const Value& value, const DescribeOptions& options);

std::string render_one(bool value, const DescribeOptions&) {
  return value ? "true" : "false";
}
// As few digits as tell a 32-bit float from its neighbours, where it is one: 1e-05,
// not 9.9999997e-06.
std::string render_one(double value, const DescribeOptions&) {
  const auto narrow = static_cast<float>(std::clamp(value, -3e38, 3e38));
  if (static_cast<double>(narrow) == value) return fmt::format("{}", narrow);
  return fmt::format("{}", value);
}
std::string render_one(std::integral auto value, const DescribeOptions&) {
  return std::to_string(value);
}
std::string render_one(const std::string& value, const DescribeOptions& options) {
  return quoted(value, options.most_text);
}
std::string render_one(const Value& value, const DescribeOptions& options) {
  return render(value, options);
}

std::string render(const Value& value, const DescribeOptions& options) {
  return std::visit(
      [&]<class T>(const T& data) -> std::string {
        if constexpr (kIsList<T>) {
          std::string text = "[";
          const size_t shown = std::min(data.size(), options.most_elements);
          for (size_t i = 0; i < shown; ++i)
            text += (i > 0 ? ", " : "") +
                    render_one(static_cast<const typename T::value_type&>(data[i]), options);
          if (shown < data.size())
            text += fmt::format("{}... {} in all", shown > 0 ? ", " : "", data.size());
          return text + "]";
        } else {
          return render_one(data, options);
        }
      },
      value.data);
}

Json to_json(const Value& value, const DescribeOptions& options);

Json json_one(bool value, const DescribeOptions&) {
  return value;
}
Json json_one(std::integral auto value, const DescribeOptions&) {
  return value;
}
Json json_one(double value, const DescribeOptions&) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}
Json json_one(const std::string& value, const DescribeOptions& options) {
  if (value.size() <= options.most_text) return value;
  Json cut = Json::object();
  cut["bytes"] = value.size();
  cut["first"] = std::string(beginning(value, options.most_text));
  return cut;
}
Json json_one(const Value& value, const DescribeOptions& options) {
  return to_json(value, options);
}

Json to_json(const Value& value, const DescribeOptions& options) {
  return std::visit(
      [&]<class T>(const T& data) -> Json {
        if constexpr (kIsList<T>) {
          Json list = Json::array();
          for (size_t i = 0; i < std::min(data.size(), options.most_elements); ++i)
            list.push_back(json_one(static_cast<const typename T::value_type&>(data[i]), options));
          if (data.size() <= options.most_elements) return list;
          Json cut = Json::object();
          cut["count"] = data.size();
          cut["first"] = std::move(list);
          return cut;
        } else {
          return json_one(data, options);
        }
      },
      value.data);
}

std::string shape_text(const TensorInfo& tensor) {
  std::string text = "[";
  for (int i = 0; i < tensor.rank; ++i)
    text += fmt::format("{}{}", i > 0 ? " x " : "", tensor.shape[static_cast<size_t>(i)]);
  return text + "]";
}

struct Totals {
  double parameters = 0;  // sums of hostile files may pass 64 bits
  double bytes = 0;
};

Totals totals_of(const ModelFile& model) {
  Totals totals;
  for (const TensorInfo& tensor : model.tensors) {
    double elements = 1;
    for (const int64_t n : tensor.shape) elements *= static_cast<double>(n);
    totals.parameters += elements;
    totals.bytes += static_cast<double>(tensor.bytes);
  }
  return totals;
}

std::string value_type(const Value& value) {
  if (value.gguf_type != static_cast<uint32_t>(GgufType::kArray))
    return std::string(type_name(value.gguf_type));
  return fmt::format("{}[]", type_name(value.gguf_element_type));
}

}  // namespace

std::string describe_text(const ModelFile& model, const DescribeOptions& options) {
  const Totals totals = totals_of(model);
  std::string text = fmt::format("{}\nversion {}, alignment {}\n", quoted(model.path, SIZE_MAX),
                                 model.version, model.alignment);
  text += fmt::format("\nmetadata: {} entries\n", model.metadata.size());
  for (const auto& [key, value] : model.metadata) {
    const std::string name = quoted(key, options.most_text);
    text += fmt::format("  {:<8} {} = {}\n", value_type(value),
                        std::string_view(name).substr(1, name.size() - 2), render(value, options));
  }
  text += fmt::format("\ntensors: {}, {:.0f} parameters, {:.0f} bytes\n", model.tensors.size(),
                      totals.parameters, totals.bytes);
  const size_t shown = std::min(model.tensors.size(), options.most_tensors);
  for (size_t i = 0; i < shown; ++i) {
    const TensorInfo& tensor = model.tensors[i];
    text += fmt::format("  {:<8} {:>20} {:>12}  {}\n", quant::info(tensor.dtype).name,
                        shape_text(tensor), tensor.bytes, quoted(tensor.name, options.most_text));
  }
  if (shown < model.tensors.size())
    text += fmt::format("  ... and {} more\n", model.tensors.size() - shown);
  return text;
}

Json describe_json(const ModelFile& model, const DescribeOptions& options) {
  const Totals totals = totals_of(model);
  Json json = Json::object();
  json["path"] = model.path;
  json["version"] = model.version;
  json["alignment"] = model.alignment;
  json["parameters"] = totals.parameters;
  json["bytes"] = totals.bytes;
  if (totals.parameters < 0x1p53) json["parameters"] = static_cast<int64_t>(totals.parameters);
  if (totals.bytes < 0x1p53) json["bytes"] = static_cast<int64_t>(totals.bytes);
  Json metadata = Json::object();
  for (const auto& [key, value] : model.metadata) metadata[key] = to_json(value, options);
  json["metadata"] = std::move(metadata);
  Json tensors = Json::array();
  for (size_t i = 0; i < std::min(model.tensors.size(), options.most_tensors); ++i) {
    const TensorInfo& tensor = model.tensors[i];
    Json row = Json::object();
    row["name"] = tensor.name;
    row["type"] = quant::info(tensor.dtype).name;
    row["shape"] = std::vector<int64_t>(tensor.shape.begin(), tensor.shape.begin() + tensor.rank);
    row["bytes"] = tensor.bytes;
    row["offset"] = tensor.offset;
    tensors.push_back(std::move(row));
  }
  json["tensors"] = std::move(tensors);
  return json;
}

}  // namespace cria::formats
