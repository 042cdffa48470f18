// message.h - what HTTP requests and responses have in common, for both sides.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cria::http {

struct Header {
  std::string name, value;
};
using Headers = std::vector<Header>;

// The first header of that name, whatever its case; nullptr when there is none.
const std::string* find_header(const Headers& headers, std::string_view name);
bool equal_ignoring_case(std::string_view a, std::string_view b);
// "%2F" becomes "/"; a broken escape stays as it is.
std::string percent_decode(std::string_view text);
// Of "a=1&b=two+words": the decoded value of the first field of that name.
std::optional<std::string> query_value(std::string_view query, std::string_view name);

}  // namespace cria::http
