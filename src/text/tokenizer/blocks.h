// blocks.h - U+2581, which SentencePiece vocabularies write for a space.
#pragma once

#include <string>
#include <string_view>

namespace cria::text {

constexpr std::string_view kBlock = "\xE2\x96\x81";

inline bool starts_with_block(std::string_view text, size_t at = 0) {
  return text.compare(at, kBlock.size(), kBlock) == 0;
}

inline std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  while (true) {
    const size_t at = text.find(from);
    out += text.substr(0, at);
    if (at == std::string_view::npos) return out;
    out += to;
    text.remove_prefix(at + from.size());
  }
}
inline std::string blocks_to_spaces(std::string_view text) {
  return replace_all(text, kBlock, " ");
}

}  // namespace cria::text
