// format.h - numbers, times and tables as the command line prints them.
#pragma once

#include "base/json.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cria::cli {

std::string human_bytes(int64_t bytes);   // "13 KB", "1.5 GB": powers of 1000
std::string human_count(uint64_t count);  // "134.52M", "7B"
using Seconds = std::chrono::duration<double>;
// `offset` from now: negative is the past ("3 minutes ago"), positive the future.
std::string relative_time(Seconds offset);
// Seconds from now to an RFC 3339 time; nullopt when it is none, or the zero time.
std::optional<Seconds> seconds_until(std::string_view rfc3339);

using Row = std::vector<std::string>;
// Columns padded to their widest cell (display columns), 4 blanks apart, the last padded too.
std::string format_table(const std::vector<Row>& rows, int indent = 0);

// The statistics of --verbose from the final object of an answer.
std::string format_statistics(const Json& done);
// A metadata value for a table cell: arrays shortened to "[a b c ...+4 more]".
std::string format_value(const Json& value);

}  // namespace cria::cli
