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

}  // namespace cria::text
