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

bool is_plain_path(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.find('\\') != std::string_view::npos)
    return false;
  for (size_t start = 0; start <= path.size();) {
    const size_t end = std::min(path.find('/', start), path.size());
    const std::string_view part = path.substr(start, end - start);
    if (part.empty() || part == "." || part == "..") return false;
    start = end + 1;
  }
  return true;
}

}  // namespace cria
