// The JSON-Schema-Test-Suite as an oracle of what schemas allow: what it calls invalid must never
// be matched; what it calls valid must be, unless a restriction of schema.h says otherwise.
#include "base/error.h"
#include "base/file.h"
#include "text/grammar/grammar.h"
#include "text/grammar/schema_keywords.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>

namespace cria::grammar {
namespace {

namespace fs = std::filesystem;

struct Counts {
  int schemas = 0, refused = 0, accepted_schemas = 0;
  int valid = 0, restricted = 0, invalid = 0;
};

const Json* at(const Json& schema, const char* key) {
  return json_find(schema, key);
}

// Whether the restrictions on types and undeclared keys alone explain that a value is not matched:
// an independent look at schema and value, without the grammar.
bool restricted(const Json& schema, const Json& value) {
  if (!schema.is_object()) return false;
  if (at(schema, "format") != nullptr) return true;  // fewer than their standards allow
  if (at(schema, "type") == nullptr && at(schema, "enum") == nullptr &&
      at(schema, "const") == nullptr && !type_allows(types_of(schema), type_of(value)))
    return true;
  // Objects among constants keep the order of their own keys.
  if (const Json* constant = at(schema, "const"))
    if (nlohmann::json::parse(constant->dump()) == nlohmann::json::parse(value.dump())) return true;
  const std::string text = value.dump();
  if (text.find('e') != std::string::npos && value.is_number()) return true;
  if (value.is_number() && text.size() > 20) return true;
  if (value.is_object() && at(schema, "additionalProperties") == nullptr) {
    const Json* known = at(schema, "properties");
    const Json* patterns = at(schema, "patternProperties");
    if (known != nullptr || patterns != nullptr)
      for (const auto& [key, inner] : value.items())
        if (known == nullptr || known->find(key) == known->end()) return true;
  }
  // The same further in: any part of the schema with any part of the value.
  for (const auto& [key, inner] : schema.items()) {
    if (key == "enum" || key == "const") continue;
    if (inner.is_object() && restricted(inner, value)) return true;
    if (inner.is_structured())
      for (const Json& part : inner)
        if (part.is_object() && restricted(part, value)) return true;
  }
  return value.is_structured() &&
         std::ranges::any_of(value, [&](const Json& part) { return restricted(schema, part); });
}

// The value's keys in the order that the schema declares.
Json ordered(const Json& schema, const Json& value) {
  if (!value.is_object() || !schema.is_object()) return value;
  Json out = Json::object();
  for (const char* keyword : {"properties", "required"})
    if (const Json* names = at(schema, keyword))
      for (const auto& [key, name] : names->items()) {
        const std::string wanted = names->is_array() ? name.get<std::string>() : key;
        if (value.find(wanted) != value.end()) out[wanted] = value[wanted];
      }
  for (const auto& [key, inner] : value.items()) out[key] = inner;
  return out;
}

void check_schema(const std::string& where, const Json& group, Counts& counts) {
  ++counts.schemas;
  const Json& schema = group["schema"];
  std::optional<Grammar> grammar;
  bool nothing = false;
  try {
    // A schema of this name would be "json".
    grammar = Grammar::compile(
        schema.is_object() && !schema.empty() ? schema : Json{{"allOf", Json::array({schema})}});
  } catch (const Error& e) {
    nothing = std::string_view(e.what()).find("no text matches") != std::string_view::npos;
    if (!nothing) {
      ++counts.refused;
      return;
    }
  }
  ++counts.accepted_schemas;
  for (const Json& test : group["tests"]) {
    const Json data = canonical(test["data"]);
    const auto matched = [&](const Json& value) {
      return !nothing && grammar->accepts(dump_json(value));
    };
    const std::string name =
        where + ": " + test["description"].get<std::string>() + ": " + dump_json(data);
    if (test["valid"] == true) {
      const bool ok = matched(data) || matched(ordered(schema, data));
      if (!ok && restricted(schema, data)) {
        ++counts.restricted;
        continue;
      }
      ++counts.valid;
      CHECK_MESSAGE(ok, "not matched though valid: ", name, " by ", dump_json(schema));
    } else {
      ++counts.invalid;
      CHECK_MESSAGE(!(matched(data) || matched(ordered(schema, data))),
                    "matched though invalid: ", name, " by ", dump_json(schema));
    }
  }
}

void check_folder(const char* draft, int least_schemas, int least_valid) {
  const fs::path folder = fs::path(CRIA_SHARED_DIR) / "data/json-schema/tests" / draft;
  REQUIRE_MESSAGE(fs::exists(folder), "no ", folder.string());
  Counts counts;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    for (const Json& group : parse_json(read_text_file(entry.path(), 1 << 22)))
      check_schema(
          entry.path().filename().string() + ": " + group["description"].get<std::string>(), group,
          counts);
  }
  MESSAGE(std::string(draft), ": ", counts.schemas, " schemas, ", counts.refused,
          " refused by name; of the others ", counts.valid, " valid instances matched, ",
          counts.invalid, " invalid ones not, ", counts.restricted,
          " valid ones outside of the documented restrictions");
  CHECK(counts.accepted_schemas >= least_schemas);
  CHECK(counts.valid >= least_valid);  // or the restrictions would excuse everything
}

TEST_CASE("no instance that the JSON-Schema suite calls invalid is matched: draft 2020-12") {
  check_folder("draft2020-12", 162, 351);
}

TEST_CASE("no instance that the JSON-Schema suite calls invalid is matched: draft 7") {
  check_folder("draft7", 142, 276);
}

}  // namespace
}  // namespace cria::grammar
