// normalize.h - canonical forms and case of code points. The only header that stands before
// utf8proc.
//
// Linear in the length for any input: utf8proc's own reordering of combining marks is not.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cria::text {

// Canonical composition (NFC). Bytes that are no UTF-8 stay as they are.
std::string to_nfc(std::string_view text);

// Appends the canonical decomposition (NFD) of one code point.
void append_decomposed(uint32_t code_point, std::vector<uint32_t>& out);
uint32_t to_lower(uint32_t code_point);
uint32_t to_upper(uint32_t code_point);
uint32_t to_title(uint32_t code_point);
bool is_decimal_digit(uint32_t code_point);    // Nd
bool is_nonspacing_mark(uint32_t code_point);  // Mn
bool is_control(uint32_t code_point);          // Cc, Cf, Cs, Co

}  // namespace cria::text
