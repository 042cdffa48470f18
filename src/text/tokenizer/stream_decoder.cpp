#include "text/tokenizer/tokenizer.h"
#include "text/tokenizer/unicode.h"

#include <algorithm>

namespace cria::text {
namespace {

// Bytes of `text` before a trailing sequence that is valid so far but not complete.
size_t complete_size(std::string_view text) {
  const size_t look_back = std::min<size_t>(3, text.size());
  for (size_t back = 1; back <= look_back; ++back) {
    const auto byte = static_cast<uint8_t>(text[text.size() - back]);
    if ((byte & 0xC0) == 0x80) continue;
    const size_t need = byte >= 0xF0 && byte <= 0xF4 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC2 ? 2 : 1;
    return byte <= 0xF4 && need > back ? text.size() - back : text.size();
  }
  return text.size();
}

}  // namespace

std::string StreamDecoder::push(std::string_view piece) {
  tail_ += piece;
  const size_t size = complete_size(tail_);
  std::string out = tail_.substr(0, size);
  tail_.erase(0, size);
  return out;
}

// The tail is an unfinished sequence, so nothing of it is valid.
std::string StreamDecoder::flush() {
  tail_.clear();
  return {};
}

}  // namespace cria::text
