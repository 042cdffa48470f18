// fields.h - reading a request body the way existing clients rely on: only the first JSON value
// counts, keys match whatever their case, null is absent, and a wrong type is named like Go names
// it.
#pragma once

#include "base/json.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cria::api {

// Throws Error{kInvalidInput}: "missing request body", "unexpected EOF", "invalid character ...".
Json parse_body(std::string_view body);

// The fields of one object; `type` is its name in error messages. The object must outlive it.
class Fields {
 public:
  // Throws when `object` is no object.
  Fields(std::string_view type, const Json& object, std::string path = {});

  const Json* find(std::string_view key) const;  // nullptr when absent or null; the last one wins
  std::string text(std::string_view key, std::string fallback = {}) const;
  std::string required(std::string_view key) const;  // a text that may not be absent or empty
  std::optional<bool> flag(std::string_view key) const;
  std::optional<int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  Json object(std::string_view key) const;  // {} when absent
  Json list(std::string_view key) const;    // [] when absent
  std::vector<std::string> texts(std::string_view key) const;

  [[noreturn]] void wrong_type(std::string_view key, const Json& value,
                               std::string_view go_type) const;

 private:
  std::string_view type_;
  std::string path_;
  const Json& object_;
};

}  // namespace cria::api
