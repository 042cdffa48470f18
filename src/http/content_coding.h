// content_coding.h - bodies that were compressed on their way (RFC 9110, 8.4).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace cria::http {

// What the zstd frames (RFC 8878), one or more, hold. Frames that need a window of more than 8 MiB
// are refused, as that much memory is taken for them. Throws Error{kTooLarge} as soon as it would
// be more than `max_bytes`, {kInvalidInput} when it is no zstd or ends early.
std::string unpack_zstd(std::string_view packed, size_t max_bytes);

}  // namespace cria::http
