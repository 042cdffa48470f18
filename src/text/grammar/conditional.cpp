#include "text/grammar/conditional.h"

#include "text/grammar/schema_keywords.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <vector>

namespace cria::grammar {
namespace {

bool has(const Json& schema, std::string_view key) {
  return schema.find(key) != schema.end();
}

class Opposite {
 public:
  Opposite(const Flatten& flat, const std::string& place) : flat_(flat), place_(place) {}

  // The ways in which a value that `base` allows breaks `condition`; both are flat.
  std::vector<Json> of(const Json& condition, const Json& base) const {
    if (condition.is_boolean())
      return condition == true ? std::vector<Json>{} : std::vector<Json>{true};
    for (const auto& [name, value] : condition.items())
      if (name != "type" && name != "enum" && name != "required" && name != "properties")
        unsupported("\"if\" with \"" + name + "\"", place_);
    std::vector<Json> out;
    if (has(condition, "enum")) {
      Json values = {{"enum", condition["enum"]}};
      if (has(condition, "type")) values["type"] = condition["type"];
      out.push_back(of_value(values, base));
    } else if (has(condition, "type")) {
      out.push_back(of_value({{"type", condition["type"]}}, base));
    }
    if (has(condition, "required"))
      for (const Json& key : condition["required"])
        out.push_back(with_property(key.get<std::string>(), false));
    if (has(condition, "properties"))
      for (const auto& [key, value] : condition["properties"].items()) {
        const Json sub = flat_(value);
        if (sub == true || sub == Json::object()) continue;
        Json broken = with_property(key, of_value(sub, property(base, key)));
        broken["required"] = Json::array({key});
        out.push_back(std::move(broken));
      }
    return out;
  }

 private:
  static Json with_property(const std::string& key, Json value) {
    Json out = {{"type", "object"}};
    out["properties"][key] = std::move(value);
    return out;
  }

  Json property(const Json& base, const std::string& key) const {
    if (base.is_object() && has(base, "properties") && has(base["properties"], key))
      return flat_(base["properties"][key]);
    return true;
  }

  // What breaks a condition on types and constants.
  Json of_value(const Json& condition, const Json& base) const {
    if (condition.is_boolean()) return condition == false;
    for (const auto& [name, value] : condition.items())
      if (name != "type" && name != "enum")
        unsupported("\"if\" with \"" + name + "\" of a key", place_);
    if (const std::optional<Json> all = listed(base)) {
      Json out = {{"enum", Json::array()}};
      for (const Json& value : *all)
        if (!meets(value, condition)) out["enum"].push_back(value);
      return out;
    }
    if (has(condition, "enum"))
      unsupported("\"if\" with constants of a key without \"enum\"", place_);
    return {{"type", other_types(types_of(condition))}};
  }

  // All values that a schema may allow, where they can be listed.
  static std::optional<Json> listed(const Json& schema) {
    if (!schema.is_object()) return std::nullopt;
    if (has(schema, "enum")) return schema["enum"];
    if (!has(schema, "type")) return std::nullopt;
    Json out = Json::array();
    for (const std::string& type : types_of(schema)) {
      if (type != "boolean" && type != "null") return std::nullopt;
      if (type == "null")
        out.push_back(nullptr);
      else
        out.insert(out.end(), {true, false});
    }
    return out;
  }

  static bool meets(const Json& value, const Json& condition) {
    if (has(condition, "type") && !type_allows(types_of(condition), type_of(value))) return false;
    return !has(condition, "enum") || std::ranges::any_of(condition["enum"], [&](const Json& one) {
      return canonical(one) == canonical(value);
    });
  }

  Json other_types(const std::vector<std::string>& types) const {
    Json out = Json::array();
    for (const char* type : {"object", "array", "string", "number", "boolean", "null"})
      if (!type_allows(types, type)) out.push_back(type);
    // A number that is no integer has no name.
    if (type_allows(types, "integer") && !type_allows(types, "number"))
      unsupported("\"if\" with \"type\": \"integer\"", place_);
    return out;
  }

  const Flatten& flat_;
  const std::string& place_;
};

Json all_of(const Json& a, const Json& b) {
  return Json::object({{"allOf", Json::array({a, b})}});
}

}  // namespace

Json as_choice(const Conditional& conditional, const Json& base, const Flatten& flat) {
  Json out = Json::array();
  if (conditional.then != false) out.push_back(all_of(conditional.condition, conditional.then));
  if (conditional.otherwise != false)
    for (const Json& broken :
         Opposite(flat, conditional.place).of(flat(conditional.condition), base))
      out.push_back(all_of(broken, conditional.otherwise));
  if (out.empty()) return false;
  return {{"anyOf", out}};
}

}  // namespace cria::grammar
