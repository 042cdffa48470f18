// base64.h - standard base64 (RFC 4648, padded).
#pragma once

#include <string>
#include <string_view>

namespace cria {

std::string base64_encode(std::string_view bytes);
// Line breaks are skipped. Throws Error{kInvalidInput} with the offset of the first bad character.
std::string base64_decode(std::string_view text);
void base64_check(std::string_view text);  // the same, for who needs no bytes

}  // namespace cria
