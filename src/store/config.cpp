#include "store/config.h"

#include "store/manifest.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

namespace cria::store {
namespace {

struct Field {
  std::string_view name;
  const char* empty;  // JSON written when there is no value; null: the field is left out
};

constexpr std::array kFields = {
    Field{"model_format", "\"\""},
    Field{"model_family", "\"\""},
    Field{"model_families", "null"},
    Field{"model_type", "\"\""},
    Field{"file_type", "\"\""},
    Field{"renderer", nullptr},
    Field{"parser", nullptr},
    Field{"requires", nullptr},
    Field{"remote_host", nullptr},
    Field{"remote_model", nullptr},
    Field{"capabilities", nullptr},
    Field{"context_length", nullptr},
    Field{"embedding_length", nullptr},
    Field{"base_name", nullptr},
    Field{"draft", nullptr},
};

// What Go's "omitempty" leaves out.
bool is_empty(const Json& value) {
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  if (value.is_number()) return value == 0;
  return value.is_null() || value.empty();
}

Json sorted(const Json& value) {
  if (value.is_array()) {
    Json list = Json::array();
    for (const Json& item : value) list.push_back(sorted(item));
    return list;
  }
  if (!value.is_object()) return value;
  std::vector<std::string> keys;
  for (const auto& [key, item] : value.items()) keys.push_back(key);
  std::ranges::sort(keys);
  Json object = Json::object();
  for (const std::string& key : keys) object[key] = sorted(value[key]);
  return object;
}

}  // namespace

std::string config_text(const Json& config) {
  Json out = Json::object();
  for (const Field& field : kFields) {
    const Json* value = json_find(config, field.name);
    if (value != nullptr && !is_empty(*value))
      out[std::string(field.name)] = *value;
    else if (field.empty != nullptr)
      out[std::string(field.name)] = parse_json(field.empty);
  }
  out["architecture"] = "amd64";  // constants of the image format; nothing reads them
  out["os"] = "linux";
  return go_json(out);
}

std::string go_map_json(const Json& value) {
  return go_json(sorted(value));
}

}  // namespace cria::store
