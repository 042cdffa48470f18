#include "base/error.h"
#include "models/model.h"

#include <cmath>

namespace cria::models {
namespace {

constexpr int64_t kMaxSize = (int64_t{1} << 31) - 1;

std::optional<int64_t> integer(const formats::Value& value) {
  if (const auto* i = std::get_if<int64_t>(&value.data)) return *i;
  if (const auto* u = std::get_if<uint64_t>(&value.data))
    return *u > uint64_t{INT64_MAX} ? INT64_MAX : static_cast<int64_t>(*u);
  return std::nullopt;
}

int64_t bounded(const std::string& key, const formats::Value& value, int64_t lowest) {
  const std::optional<int64_t> number = integer(value);
  if (!number) fail(ErrorKind::kInvalidInput, "{} is not an integer", key);
  if (*number < lowest || *number > kMaxSize)
    fail(ErrorKind::kInvalidInput, "{} is {}, expected {} to {}", key, *number, lowest, kMaxSize);
  return *number;
}

[[noreturn]] void absent(const std::string& key) {
  fail(ErrorKind::kInvalidInput, "the model file lacks the key \"{}\"", key);
}

}  // namespace

Metadata::Metadata(const formats::ModelFile& file) : file_(file) {
  const formats::Value* value = file.find("general.architecture");
  if (value == nullptr) absent("general.architecture");
  const auto* name = std::get_if<std::string>(&value->data);
  if (name == nullptr) fail(ErrorKind::kInvalidInput, "general.architecture is not a string");
  architecture_ = *name;
}

std::string Metadata::full(std::string_view key) const {
  return fmt::format("{}.{}", architecture_, key);
}

const formats::Value* Metadata::find(std::string_view key) const {
  return file_.find(full(key));
}

bool Metadata::has(std::string_view key) const {
  return find(key) != nullptr;
}

int64_t Metadata::size(std::string_view key) const {
  const formats::Value* value = find(key);
  if (value == nullptr) absent(full(key));
  return bounded(full(key), *value, 1);
}

int64_t Metadata::size(std::string_view key, int64_t fallback) const {
  return has(key) ? size(key) : fallback;
}

int64_t Metadata::count(std::string_view key, int64_t fallback) const {
  const formats::Value* value = find(key);
  return value == nullptr ? fallback : bounded(full(key), *value, 0);
}

float Metadata::number(std::string_view key) const {
  const formats::Value* value = find(key);
  if (value == nullptr) absent(full(key));
  double number = 0;
  if (const auto* d = std::get_if<double>(&value->data))
    number = *d;
  else if (const auto i = integer(*value))
    number = static_cast<double>(*i);
  else
    fail(ErrorKind::kInvalidInput, "{} is not a number", full(key));
  if (!std::isfinite(static_cast<float>(number)))
    fail(ErrorKind::kInvalidInput, "{} is {}, expected a finite number", full(key), number);
  return static_cast<float>(number);
}

float Metadata::number(std::string_view key, float fallback) const {
  return has(key) ? number(key) : fallback;
}

std::string Metadata::text(std::string_view key, std::string_view fallback) const {
  const formats::Value* value = find(key);
  if (value == nullptr) return std::string(fallback);
  if (const auto* s = std::get_if<std::string>(&value->data)) return *s;
  fail(ErrorKind::kInvalidInput, "{} is not a string", full(key));
}

bool Metadata::flag(std::string_view key, bool fallback) const {
  const formats::Value* value = find(key);
  if (value == nullptr) return fallback;
  if (const auto* b = std::get_if<bool>(&value->data)) return *b;
  fail(ErrorKind::kInvalidInput, "{} is not true or false", full(key));
}

std::optional<bool> Metadata::flag_of_layer(std::string_view key, int64_t layer) const {
  const formats::Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* b = std::get_if<bool>(&value->data)) return *b;
  const auto* flags = std::get_if<std::vector<bool>>(&value->data);
  if (flags == nullptr) return std::nullopt;
  if (layer >= static_cast<int64_t>(flags->size()))
    fail(ErrorKind::kInvalidInput, "{} has {} entries, expected one for layer {}", full(key),
         flags->size(), layer);
  return (*flags)[static_cast<size_t>(layer)];
}

}  // namespace cria::models
