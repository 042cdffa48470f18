#include "base/json.h"

#include "base/error.h"

#include <cmath>

// The one copy of what every file uses: their compilation is that much shorter (json.h).
template class nlohmann::basic_json<nlohmann::ordered_map>;

namespace cria {
namespace {

[[noreturn]] void wrong_type(std::string_view key, std::string_view wanted, const Json& value) {
  fail(ErrorKind::kInvalidInput, "field \"{}\" must be {}, not {}", key, wanted, value.type_name());
}

}  // namespace

std::string dump_json(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

void json_append(Json& object, std::string key, Json value) {
  if (object.is_null()) object = Json::object();
  // As the vector that it is: the map's own emplace_back searches.
  Json::object_t::Container& members = object.get_ref<Json::object_t&>();
  members.emplace_back(std::move(key), std::move(value));
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
