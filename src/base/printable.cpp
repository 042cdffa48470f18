#include "base/printable.h"

#include <fmt/core.h>

namespace cria {

std::string printable(std::string_view text, std::string_view keep) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if (byte == 0xC2 && next >= 0x80 && next < 0xA0) {  // U+0080-9F in UTF-8
      out += fmt::format("\\u{:04x}", next);
      ++i;
    } else if ((byte >= ' ' && byte != 0x7F) || keep.find(text[i]) != std::string_view::npos) {
      out += text[i];
    } else if (byte == '\r' && next == '\n' && keep.find('\n') != std::string_view::npos) {
      continue;  // one line end, not a return to the line's begin
    } else if (byte == '\n') {
      out += "\\n";
    } else if (byte == '\t') {
      out += "\\t";
    } else {
      out += fmt::format("\\x{:02x}", byte);
    }
  }
  return out;
}

}  // namespace cria
