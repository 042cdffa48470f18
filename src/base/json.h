// json.h - JSON for the whole project. Objects keep the order of their keys: templates print them
// and tools are shown to models as the caller wrote them.
//
// The only header that includes nlohmann/json. parse_json checks depth and size before it builds
// anything, and turns every library exception into Error{kInvalidInput}.
#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

extern template class nlohmann::basic_json<nlohmann::ordered_map>;

namespace cria {

using Json = nlohmann::ordered_json;

struct JsonLimits {
  size_t max_bytes = size_t{64} << 20;
  int max_depth = 128;  // nested arrays and objects
};

// Parses exactly one JSON value. As Go's encoding/json does: of equal keys the last value wins, at
// the place of the first; bad UTF-8 and lone surrogates become U+FFFD; the errors have Go's words.
// Linear in the length of the text, also for objects with very many keys.
// Throws Error{kInvalidInput} (kTooLarge over max_bytes).
Json parse_json(std::string_view text, const JsonLimits& limits = {});

// Adds a member whose key the caller knows to be new, without the search through all the others
// that object[key] is. `object` is an object or null.
void json_append(Json& object, std::string key, Json value);

// Compact text; invalid UTF-8 inside strings is replaced by U+FFFD. `indent` < 0: one line.
std::string dump_json(const Json& value, int indent = -1);

// Typed access that never throws the library's exceptions. All throw Error{kInvalidInput} naming
// the key when the value is present (and not null) but of another type or out of range; absent or
// null gives nullopt.
std::optional<std::string> json_string(const Json& object, std::string_view key);
std::optional<int64_t> json_integer(const Json& object,
                                    std::string_view key);  // 3.0 is accepted as 3
std::optional<double> json_number(const Json& object, std::string_view key);  // finite only
std::optional<bool> json_bool(const Json& object, std::string_view key);
// Null when absent, null, or `object` is not an object.
const Json* json_find(const Json& object, std::string_view key);

}  // namespace cria
