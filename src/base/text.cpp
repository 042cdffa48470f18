#include "base/text.h"

namespace cria {

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string one_line(std::string_view text, size_t max) {
  std::string out;
  for (const char c : text.substr(0, max))
    out += static_cast<unsigned char>(c) < ' ' || c == 127 ? ' ' : c;
  while (out.ends_with(' ')) out.pop_back();
  return out;
}

}  // namespace cria
