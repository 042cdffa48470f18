// schema_keywords.h - schemas as data: what keywords there are, references, and two schemas as one.
#pragma once

#include "base/json.h"

#include <string>
#include <string_view>
#include <vector>

namespace cria::grammar {

// Refuses keywords that are unknown, not supported, or hold a value of a wrong type. `place` is a
// JSON pointer with # before it. Throws Error{kInvalidInput, kUnsupported} naming both.
void check_keywords(const Json& schema, const std::string& place);
// Whether the schema says nothing about values.
bool is_annotation(std::string_view keyword);
// What "#/..." points at in `root`.
const Json& resolve(const Json& root, const std::string& reference, const std::string& place);
// The types that the schema may be about: `type`, else those that its keywords speak of, else all.
std::vector<std::string> types_of(const Json& schema);
// The type of a value; "integer" for whole numbers.
std::string type_of(const Json& value);
bool type_allows(const std::vector<std::string>& types, const std::string& type);
// Whole numbers without a fraction, however they were written.
Json canonical(const Json& value);
// Of two lists of constants.
bool no_common_value(const Json& a, const Json& b);
// Whether both schemas require a key whose constants differ.
bool told_apart_by_key(const Json& a, const Json& b);
// A schema for what both allow; neither has allOf or $ref. Throws Error{kUnsupported}.
Json merge_schemas(const Json& a, const Json& b, const std::string& place);

[[noreturn]] void unsupported(std::string_view keyword, const std::string& place);
std::string child(const std::string& place, std::string_view key);

}  // namespace cria::grammar
