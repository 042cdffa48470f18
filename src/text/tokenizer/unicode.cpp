#include "text/tokenizer/unicode.h"

#include <algorithm>
#include <iterator>

namespace cria::text {
namespace {

constexpr uint32_t kRanges[] = {
#include "text/tokenizer/unicode_ranges.inc"
};

}  // namespace

const UnicodeTable& UnicodeTable::get() {
  static const UnicodeTable table;
  return table;
}

// Two stages: most blocks of 256 code points are alike, so some 50 KB hold what would be 1 MB.
UnicodeTable::UnicodeTable() {
  size_t range = 0;
  for (uint32_t page = 0; page < pages_.size(); ++page) {
    std::array<uint8_t, 256> block;
    for (uint32_t i = 0; i < 256; ++i) {
      const uint32_t code_point = page << 8 | i;
      while (range + 1 < std::size(kRanges) && kRanges[range + 1] >> 8 <= code_point) ++range;
      block[i] = static_cast<uint8_t>(kRanges[range] & 255);
    }
    if (page == kInvalidCodePoint >> 8) block.fill(kSymbol);
    const auto known = std::find(blocks_.begin(), blocks_.end(), block);
    pages_[page] = static_cast<uint16_t>(known - blocks_.begin());
    if (known == blocks_.end()) blocks_.push_back(block);
  }
}

CodePoint decode_multibyte(std::string_view text, size_t at) {
  constexpr CodePoint kBad{kInvalidCodePoint, 1};
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[i])); };
  const uint32_t lead = byte(at);
  const uint32_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() - at < length) return kBad;
  uint32_t value = lead & (0x7Fu >> length);
  for (uint32_t i = 1; i < length; ++i) {
    const uint32_t next = byte(at + i);
    if ((next & 0xC0) != 0x80) return kBad;
    value = value << 6 | (next & 0x3F);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kLeast[length] || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
    return kBad;
  return {value, length};
}

void append_utf8(std::string& out, uint32_t c) {
  const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3F));
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

}  // namespace cria::text
