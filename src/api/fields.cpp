#include "api/fields.h"

#include "base/error.h"

#include <algorithm>
#include <limits>

namespace cria::api {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_key(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

std::string kind_of(const Json& value) {
  if (value.is_number()) return "number " + value.dump();
  if (value.is_boolean()) return "bool";
  return value.type_name();
}

// The end of the object or array that starts at 0; npos when it does not end.
size_t end_of_value(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

}  // namespace

Json parse_body(std::string_view body) {
  const size_t first = body.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) fail(ErrorKind::kInvalidInput, "missing request body");
  body.remove_prefix(first);
  const char c = body[0];
  if (c == '{' || c == '[') {
    const size_t end = end_of_value(body);
    if (end == std::string_view::npos) fail(ErrorKind::kInvalidInput, "unexpected EOF");
    body = body.substr(0, end);
  } else if (std::string_view("\"-0123456789tfn").find(c) == std::string_view::npos) {
    const std::string shown = c >= 0x20 && c < 0x7f
                                  ? std::string(1, c)
                                  : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    fail(ErrorKind::kInvalidInput, "invalid character '{}' looking for beginning of value", shown);
  }
  return parse_json(body);
}

Fields::Fields(std::string_view type, const Json& object, std::string path)
    : type_(type), path_(std::move(path)), object_(object) {
  if (object.is_object()) return;
  if (path_.empty())
    fail(ErrorKind::kInvalidInput, "json: cannot unmarshal {} into Go value of type api.{}",
         kind_of(object), type);
  fail(ErrorKind::kInvalidInput, "json: cannot unmarshal {} into Go struct field {}.{} of type {}",
       kind_of(object), type, path_.substr(0, path_.size() - 1), "object");
}

const Json* Fields::find(std::string_view key) const {
  const Json* found = nullptr;
  for (const auto& [name, value] : object_.items())
    if (!value.is_null() && same_key(name, key)) found = &value;
  return found;
}

void Fields::wrong_type(std::string_view key, const Json& value, std::string_view go_type) const {
  fail(ErrorKind::kInvalidInput,
       "json: cannot unmarshal {} into Go struct field {}.{}{} of type {}",
       value.is_number() && !go_type.starts_with("int") ? "number" : kind_of(value), type_, path_,
       key, go_type);
}

std::string Fields::text(std::string_view key, std::string fallback) const {
  const Json* const value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) wrong_type(key, *value, "string");
  return value->get<std::string>();
}

std::string Fields::required(std::string_view key) const {
  std::string value = text(key);
  if (value.empty()) fail(ErrorKind::kInvalidInput, "{} is required", key);
  return value;
}

std::optional<bool> Fields::flag(std::string_view key) const {
  const Json* const value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) wrong_type(key, *value, "bool");
  return value->get<bool>();
}

std::optional<int64_t> Fields::integer(std::string_view key) const {
  const Json* const value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_integer() ||
      (value->is_number_unsigned() &&
       value->get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()}))
    wrong_type(key, *value, "int");
  return value->get<int64_t>();
}

std::optional<double> Fields::number(std::string_view key) const {
  const Json* const value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) wrong_type(key, *value, "float64");
  return value->get<double>();
}

Json Fields::object(std::string_view key) const {
  const Json* const value = find(key);
  if (value == nullptr) return Json::object();
  if (!value->is_object()) wrong_type(key, *value, "map[string]interface {}");
  return *value;
}

Json Fields::list(std::string_view key) const {
  const Json* const value = find(key);
  if (value == nullptr) return Json::array();
  if (!value->is_array()) wrong_type(key, *value, "[]interface {}");
  return *value;
}

std::vector<std::string> Fields::texts(std::string_view key) const {
  std::vector<std::string> out;
  for (const Json& item : list(key)) {
    if (!item.is_string()) wrong_type(key, item, "string");
    out.push_back(item.get<std::string>());
  }
  return out;
}

}  // namespace cria::api
