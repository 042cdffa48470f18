#include "text/grammar/schema_keywords.h"

#include "base/error.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace cria::grammar {
namespace {

enum class Holds {
  kAnything,
  kSchema,
  kSchemas,
  kSchemaMap,
  kCount,
  kNumber,
  kDivisor,
  kText,
  kTexts,
  kType,
  kValues,
  kItems,
  kFlag
};

struct Keyword {
  std::string_view name;
  Holds holds;
  std::string_view type;  // of the values that it speaks of
};

constexpr auto kKeywords = std::to_array<Keyword>({
    {"$ref", Holds::kText, ""},
    {"$defs", Holds::kSchemaMap, ""},
    {"definitions", Holds::kSchemaMap, ""},
    {"allOf", Holds::kSchemas, ""},
    {"anyOf", Holds::kSchemas, ""},
    {"oneOf", Holds::kSchemas, ""},
    {"if", Holds::kSchema, ""},
    {"then", Holds::kSchema, ""},
    {"else", Holds::kSchema, ""},
    {"type", Holds::kType, ""},
    {"enum", Holds::kValues, ""},
    {"const", Holds::kAnything, ""},
    {"properties", Holds::kSchemaMap, "object"},
    {"required", Holds::kTexts, "object"},
    {"additionalProperties", Holds::kSchema, "object"},
    {"patternProperties", Holds::kSchemaMap, "object"},
    {"propertyNames", Holds::kSchema, "object"},
    {"minProperties", Holds::kCount, "object"},
    {"maxProperties", Holds::kCount, "object"},
    {"items", Holds::kItems, "array"},
    {"prefixItems", Holds::kSchemas, "array"},
    {"additionalItems", Holds::kSchema, "array"},
    {"minItems", Holds::kCount, "array"},
    {"maxItems", Holds::kCount, "array"},
    {"uniqueItems", Holds::kFlag, "array"},
    {"minLength", Holds::kCount, "string"},
    {"maxLength", Holds::kCount, "string"},
    {"pattern", Holds::kText, "string"},
    {"format", Holds::kText, "string"},
    {"minimum", Holds::kNumber, "number"},
    {"maximum", Holds::kNumber, "number"},
    {"exclusiveMinimum", Holds::kNumber, "number"},
    {"exclusiveMaximum", Holds::kNumber, "number"},
    {"multipleOf", Holds::kDivisor, "number"},
});

// OpenAPI's `discriminator`, which pydantic writes, tells a reader which of the alternatives beside
// it to expect; what is valid those say alone. `contentSchema` asserts nothing (2020-12, 8.1).
constexpr auto kAnnotations = std::to_array<std::string_view>(
    {"title", "description", "default", "examples", "$comment", "deprecated", "readOnly",
     "writeOnly", "contentMediaType", "contentEncoding", "contentSchema", "discriminator",
     "$schema"});

constexpr auto kTypes = std::to_array<std::string_view>(
    {"null", "boolean", "integer", "number", "string", "array", "object"});

const Keyword* find_keyword(std::string_view name) {
  const auto* const found = std::ranges::find(kKeywords, name, &Keyword::name);
  return found == kKeywords.end() ? nullptr : found;
}

bool is_schema(const Json& value) {
  return value.is_object() || value.is_boolean();
}
bool is_type(const Json& value) {
  return value.is_string() &&
         std::ranges::find(kTypes, value.get_ref<const std::string&>()) != kTypes.end();
}

template <class Test>
bool list_of(const Json& value, Test test) {
  return value.is_array() && std::ranges::all_of(value, test);
}

// An empty text when `value` is what the keyword may hold.
std::string_view expected(Holds holds, const Json& value) {
  const auto is_text = [](const Json& one) { return one.is_string(); };
  switch (holds) {
    case Holds::kAnything:
      return "";
    case Holds::kSchema:
      return is_schema(value) ? "" : "a schema";
    case Holds::kSchemas:
      return list_of(value, is_schema) && !value.empty() ? "" : "a list of schemas";
    case Holds::kSchemaMap:
      return value.is_object() && std::ranges::all_of(value, is_schema) ? ""
                                                                        : "an object of schemas";
    case Holds::kCount:
      return value.is_number() && value.get<double>() >= 0 &&
                     value.get<double>() == std::floor(value.get<double>())
                 ? ""
                 : "a whole number that is not negative";
    case Holds::kNumber:
      return value.is_number() ? "" : "a number";
    case Holds::kDivisor:
      return value.is_number() && value.get<double>() > 0 ? "" : "a number above 0";
    case Holds::kText:
      return value.is_string() ? "" : "a string";
    case Holds::kTexts:
      return list_of(value, is_text) ? "" : "a list of strings";
    case Holds::kType:
      return is_type(value) || (list_of(value, is_type) && !value.empty())
                 ? ""
                 : "null, boolean, integer, number, string, array or object, or a list of these";
    case Holds::kValues:
      return value.is_array() ? "" : "a list of values";
    case Holds::kItems:
      return is_schema(value) || list_of(value, is_schema) ? "" : "a schema or a list of schemas";
    case Holds::kFlag:
      return value.is_boolean() ? "" : "true or false";
  }
  return "";
}

}  // namespace

std::string child(const std::string& place, std::string_view key) {
  std::string out = place + '/';
  for (const char c : key)
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  return out;
}

void unsupported(std::string_view keyword, const std::string& place) {
  fail(ErrorKind::kUnsupported, "{} at {} is not supported", keyword, place);
}

bool is_annotation(std::string_view keyword) {
  return std::ranges::find(kAnnotations, keyword) != kAnnotations.end();
}

void check_keywords(const Json& schema, const std::string& place) {
  for (const auto& [name, value] : schema.items()) {
    if (is_annotation(name) || (name == "$id" && place == "#")) continue;
    const Keyword* keyword = find_keyword(name);
    if (keyword == nullptr) unsupported("\"" + name + "\"", place);
    const std::string_view what = expected(keyword->holds, value);
    if (!what.empty()) fail(ErrorKind::kInvalidInput, "\"{}\" at {} must be {}", name, place, what);
  }
}

const Json& resolve(const Json& root, const std::string& reference, const std::string& place) {
  if (reference != "#" && !reference.starts_with("#/"))
    fail(ErrorKind::kUnsupported,
         "\"$ref\" at {} is \"{}\"; only references inside the schema (#/...) are supported", place,
         reference);
  const Json* at = &root;
  size_t begin = 2;
  while (begin <= reference.size() && reference.size() > 1) {
    const size_t end = std::min(reference.find('/', begin), reference.size());
    std::string key;
    for (size_t i = begin; i < end; ++i) {
      const std::string_view rest = std::string_view(reference).substr(i, end - i);
      unsigned code = 0;
      if (rest.starts_with("~0") || rest.starts_with("~1")) {
        key += rest[1] == '0' ? '~' : '/';
        ++i;
      } else if (rest.size() >= 3 && rest[0] == '%' &&
                 std::from_chars(rest.data() + 1, rest.data() + 3, code, 16).ptr ==
                     rest.data() + 3) {
        key += static_cast<char>(code);
        i += 2;
      } else {
        key += rest[0];
      }
    }
    const Json* next = nullptr;
    if (at->is_object()) {
      if (const auto found = at->find(key); found != at->end()) next = &*found;
    } else if (size_t index = 0; at->is_array() && !key.empty() &&
                                 std::from_chars(key.data(), key.data() + key.size(), index).ptr ==
                                     key.data() + key.size() &&
                                 index < at->size()) {
      next = &(*at)[index];
    }
    if (next == nullptr)
      fail(ErrorKind::kInvalidInput, "\"$ref\" at {} is \"{}\", which is not there", place,
           reference);
    at = next;
    begin = end + 1;
  }
  if (!is_schema(*at))
    fail(ErrorKind::kInvalidInput, "\"$ref\" at {} is \"{}\", which is no schema", place,
         reference);
  return *at;
}

std::vector<std::string> types_of(const Json& schema) {
  std::vector<std::string> out;
  if (const auto type = schema.find("type"); type != schema.end()) {
    if (type->is_string()) return {type->get<std::string>()};
    for (const Json& one : *type) out.push_back(one.get<std::string>());
    return out;
  }
  for (const auto& [name, value] : schema.items())
    if (const Keyword* keyword = find_keyword(name);
        keyword != nullptr && !keyword->type.empty() &&
        std::ranges::find(out, keyword->type) == out.end())
      out.emplace_back(keyword->type);
  if (out.empty()) out = {"object", "array", "string", "number", "boolean", "null"};
  return out;
}

Json canonical(const Json& value) {
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (std::abs(number) < 1e15 && number == std::floor(number))
      return static_cast<int64_t>(number);
  }
  if (!value.is_structured()) return value;
  Json out = value;
  for (Json& one : out) one = canonical(one);
  return out;
}

std::string type_of(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_boolean()) return "boolean";
  if (value.is_string()) return "string";
  if (value.is_array()) return "array";
  if (value.is_object()) return "object";
  if (!value.is_number_float()) return "integer";
  const auto number = value.get<double>();
  return number == std::floor(number) ? "integer" : "number";
}

bool type_allows(const std::vector<std::string>& types, const std::string& type) {
  return std::ranges::any_of(types, [&](const std::string& one) {
    return one == type || (one == "number" && type == "integer");
  });
}

namespace {

bool has(const Json& schema, std::string_view key) {
  return schema.find(key) != schema.end();
}

Json both_of(const Json& a, const Json& b) {
  if (a == b) return a;
  return Json::object({{"allOf", Json::array({a, b})}});
}

Json as_list(const Json& value) {
  return value.is_array() ? value : Json::array({value});
}

Json common_types(const Json& a, const Json& b) {
  Json out = Json::array();
  for (const Json& one : as_list(a))
    for (const Json& other : as_list(b)) {
      if (one == other) out.push_back(one);
      if ((one == "integer" && other == "number") || (one == "number" && other == "integer"))
        out.push_back("integer");
    }
  return out;
}

Json common_values(const Json& a, const Json& b) {
  Json out = Json::array();
  for (const Json& one : a)
    if (std::ranges::any_of(b,
                            [&](const Json& other) { return canonical(one) == canonical(other); }))
      out.push_back(one);
  return out;
}

Json joined(const Json& a, const Json& b) {
  Json out = as_list(a);
  for (const Json& one : as_list(b))
    if (std::ranges::find(out, one) == out.end()) out.push_back(one);
  return out;
}

Json merged_properties(const Json& a, const Json& b) {
  Json out = Json::object();
  const Json none = Json::object();
  const Json& first = has(a, "properties") ? a["properties"] : none;
  const Json& second = has(b, "properties") ? b["properties"] : none;
  const auto other = [](const Json& properties, const Json& schema, const std::string& name) {
    if (has(properties, name)) return properties[name];
    return has(schema, "additionalProperties") ? schema["additionalProperties"] : Json(true);
  };
  const auto pair = [](const Json& one, const Json& two) {
    return two == true ? one : both_of(one, two);
  };
  for (const auto& [name, schema] : first.items()) out[name] = pair(schema, other(second, b, name));
  for (const auto& [name, schema] : second.items())
    if (!has(first, name)) out[name] = pair(schema, other(first, a, name));
  return out;
}

Json product(const Json& a, const Json& b, const std::string& place) {
  constexpr size_t kMost = 256;
  if (a.size() * b.size() > kMost) unsupported("a combination of so many \"anyOf\"", place);
  Json out = Json::array();
  for (const Json& one : a)
    for (const Json& other : b) out.push_back(both_of(one, other));
  return out;
}

Json merged_keyword(const std::string& name, const Json& a, const Json& b,
                    const std::string& place) {
  if (a == b) return a;
  if (name == "type") return common_types(a, b);
  if (name == "enum") return common_values(a, b);
  if (name == "required" || name == "pattern" || name == "format" || name == "multipleOf")
    return joined(a, b);
  if (name.starts_with("min") || name == "exclusiveMinimum")
    return a.get<double>() > b.get<double>() ? a : b;
  if (name.starts_with("max") || name == "exclusiveMaximum")
    return a.get<double>() < b.get<double>() ? a : b;
  if (name == "additionalProperties" || name == "propertyNames") return both_of(a, b);
  if (name == "items" && !a.is_array() && !b.is_array()) return both_of(a, b);
  if (name == "anyOf") return product(a, b, place);
  if (name == "uniqueItems") return true;
  unsupported("a combination of two \"" + name + "\"", place);
}

// Where the meaning of one keyword depends on another of the same schema, only one of the two may
// have them.
void refuse_entangled(const Json& a, const Json& b, const std::string& place) {
  const auto tuple = [](const Json& s) {
    return has(s, "prefixItems") || has(s, "additionalItems") ||
           (has(s, "items") && s["items"].is_array());
  };
  const auto arrays = [&](const Json& s) { return tuple(s) || has(s, "items"); };
  if ((tuple(a) && arrays(b)) || (tuple(b) && arrays(a)))
    unsupported("a combination of two lists of items", place);
  const auto clash = [](const Json& s, const Json& t) {
    return has(s, "patternProperties") &&
           (has(t, "additionalProperties") || has(t, "patternProperties") ||
            (has(s, "additionalProperties") && has(t, "properties")));
  };
  if (clash(a, b) || clash(b, a))
    unsupported("\"patternProperties\" combined with another schema's keys", place);
}

Json without_annotations(const Json& schema) {
  Json out = Json::object();
  for (const auto& [name, value] : schema.items()) {
    if (is_annotation(name) || name == "$defs" || name == "definitions" || name == "$id") continue;
    if (name == "const")
      out["enum"] = has(out, "enum") ? common_values(out["enum"], Json::array({value}))
                                     : Json::array({value});
    else
      out[name] = name == "enum" && has(out, "enum") ? common_values(value, out["enum"]) : value;
  }
  return out;
}

}  // namespace

Json merge_schemas(const Json& a, const Json& b, const std::string& place) {
  if (a.is_boolean() || b.is_boolean()) {
    if (a == false || b == false) return false;
    return a.is_boolean() ? b : a;
  }
  const Json first = without_annotations(a), second = without_annotations(b);
  refuse_entangled(first, second, place);
  Json out = first;
  if (has(first, "properties") || has(second, "properties"))
    out["properties"] = merged_properties(first, second);
  for (const auto& [name, value] : second.items()) {
    if (name == "properties") continue;
    out[name] = has(first, name) ? merged_keyword(name, first[name], value, place) : value;
  }
  return out;
}

bool no_common_value(const Json& a, const Json& b) {
  return std::ranges::none_of(a, [&](const Json& one) {
    return std::ranges::any_of(
        b, [&](const Json& other) { return canonical(one) == canonical(other); });
  });
}

bool told_apart_by_key(const Json& a, const Json& b) {
  const auto constants = [](const Json& schema, const std::string& key) -> std::optional<Json> {
    if (!has(schema, "properties") || !has(schema["properties"], key)) return std::nullopt;
    const Json& one = schema["properties"][key];
    if (has(one, "const")) return Json::array({one["const"]});
    if (has(one, "enum") && one["enum"].is_array()) return one["enum"];
    return std::nullopt;
  };
  if (!has(a, "required") || !has(b, "required")) return false;
  return std::ranges::any_of(a["required"], [&](const Json& key) {
    if (std::ranges::find(b["required"], key) == b["required"].end()) return false;
    const auto first = constants(a, key.get<std::string>());
    const auto second = constants(b, key.get<std::string>());
    return first && second && no_common_value(*first, *second);
  });
}

}  // namespace cria::grammar
