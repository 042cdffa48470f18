#include "base/json.h"

#include "base/error.h"

#include <cmath>

namespace cria {
namespace {

// Rejects nesting beyond the limit before the parser, which recurses on destruction, sees it.
void check_depth(std::string_view text, int max_depth) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > max_depth)
        fail(ErrorKind::kInvalidInput, "JSON is nested deeper than {} levels at byte {}", max_depth,
             i);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

[[noreturn]] void wrong_type(std::string_view key, std::string_view wanted, const Json& value) {
  fail(ErrorKind::kInvalidInput, "field \"{}\" must be {}, not {}", key, wanted, value.type_name());
}

}  // namespace

Json parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes)
    fail(ErrorKind::kTooLarge, "JSON of {} bytes is over the limit of {}", text.size(),
         limits.max_bytes);
  check_depth(text, limits.max_depth);
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::parse_error& e) {
    fail(ErrorKind::kInvalidInput, "invalid JSON at byte {}: {}", e.byte, e.what());
  } catch (const nlohmann::json::exception& e) {
    fail(ErrorKind::kInvalidInput, "invalid JSON: {}", e.what());
  }
}

std::string dump_json(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

const Json* json_find(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

std::optional<std::string> json_string(const Json& object, std::string_view key) {
  const Json* value = json_find(object, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) wrong_type(key, "a string", *value);
  return value->get<std::string>();
}

std::optional<int64_t> json_integer(const Json& object, std::string_view key) {
  const Json* value = json_find(object, key);
  if (value == nullptr) return std::nullopt;
  if (value->is_number_unsigned() && value->get<uint64_t>() > uint64_t{INT64_MAX})
    fail(ErrorKind::kInvalidInput, "field \"{}\" is out of range: {}", key, value->dump());
  if (value->is_number_integer()) return value->get<int64_t>();
  if (!value->is_number()) wrong_type(key, "an integer", *value);
  const double number = value->get<double>();
  if (!(std::abs(number) < 9.2e18) || number != std::trunc(number))
    fail(ErrorKind::kInvalidInput, "field \"{}\" must be an integer, not {}", key, value->dump());
  return static_cast<int64_t>(number);
}

std::optional<double> json_number(const Json& object, std::string_view key) {
  const Json* value = json_find(object, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) wrong_type(key, "a number", *value);
  const double number = value->get<double>();
  if (!std::isfinite(number))
    fail(ErrorKind::kInvalidInput, "field \"{}\" must be a finite number", key);
  return number;
}

std::optional<bool> json_bool(const Json& object, std::string_view key) {
  const Json* value = json_find(object, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) wrong_type(key, "true or false", *value);
  return value->get<bool>();
}

}  // namespace cria
