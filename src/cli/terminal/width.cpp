#include "cli/terminal/width.h"

#include <utf8proc.h>

#include <algorithm>

namespace cria::cli {

size_t character_length(std::string_view utf8) {
  if (utf8.empty()) return 0;
  const auto lead = static_cast<unsigned char>(utf8[0]);
  const size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (lead >= 0xf5) return 1;
  for (size_t i = 1; i < length; ++i) {
    if (i >= utf8.size()) return 0;
    if ((static_cast<unsigned char>(utf8[i]) & 0xc0) != 0x80) return 1;
  }
  return length;
}

size_t display_width(std::string_view utf8) {
  size_t width = 0;
  while (!utf8.empty()) {
    const size_t length = std::max<size_t>(character_length(utf8), 1);
    utf8proc_int32_t code = 0;
    const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(utf8.data());
    const auto used = utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(length), &code);
    width += used < 0 ? 1 : static_cast<size_t>(std::max(0, utf8proc_charwidth(code)));
    utf8.remove_prefix(length);
  }
  return width;
}

}  // namespace cria::cli
