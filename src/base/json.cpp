#include "base/json.h"

#include "base/error.h"

#include <array>
#include <charconv>
#include <cmath>

// The one copy of what every file uses: their compilation is that much shorter (json.h).
template class nlohmann::basic_json<nlohmann::ordered_map>;

namespace cria {
namespace {

[[noreturn]] void wrong_type(std::string_view key, std::string_view wanted, const Json& value) {
  fail(ErrorKind::kInvalidInput, "field \"{}\" must be {}, not {}", key, wanted, value.type_name());
}

// The fewest digits that read back the same, with an exponent where Go writes one: below 1e-6 and
// from 1e21. The library's own digits are sometimes more than the fewest.
void append_number(double value, std::string& out) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  const double size = std::abs(value);
  const bool plain = size == 0 || (size >= 1e-6 && size < 1e21);
  std::array<char, 40> text;
  const char* const end =
      std::to_chars(text.data(), text.data() + text.size(), value,
                    plain ? std::chars_format::fixed : std::chars_format::scientific)
          .ptr;
  const std::string_view digits(text.data(), static_cast<size_t>(end - text.data()));
  out += digits;
  // So that it is read as what it was.
  if (plain && digits.find('.') == std::string_view::npos) out += ".0";
}

class Writer {
 public:
  Writer(std::string& out, int indent)
      : out_(out),
        indent_(indent),
        scalars_(nlohmann::detail::output_adapter<char>(out), ' ', Json::error_handler_t::replace) {
  }

  void write(const Json& value, size_t depth = 0) {
    if (value.is_number_float())
      append_number(value.get_ref<const double&>(), out_);
    else if (value.is_structured())
      write_all(value, depth);
    else
      scalars_.dump(value, false, false, 0);
  }

 private:
  void write_all(const Json& value, size_t depth) {
    const bool object = value.is_object();
    out_ += object ? '{' : '[';
    bool first = true;
    for (auto it = value.begin(); it != value.end(); ++it) {
      if (!first) out_ += ',';
      first = false;
      new_line(depth + 1);
      if (object) {
        scalars_.dump(Json(it.key()), false, false, 0);
        out_ += indent_ < 0 ? ":" : ": ";
      }
      write(*it, depth + 1);
    }
    if (!first) new_line(depth);
    out_ += object ? '}' : ']';
  }
  void new_line(size_t depth) {
    if (indent_ >= 0) out_.append(1, '\n').append(depth * static_cast<size_t>(indent_), ' ');
  }

  std::string& out_;
  const int indent_;
  nlohmann::detail::serializer<Json> scalars_;
};

}  // namespace

std::string dump_json(const Json& value, int indent) {
  std::string out;
  Writer(out, indent).write(value);
  return out;
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
