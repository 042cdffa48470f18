#include "text/tokenizer/charsmap.h"

#include "base/error.h"

#include <algorithm>

namespace cria::text {
namespace {

// Keys and replacements of real tables are some 20 bytes long. The limits bound what a hostile
// table can make of a text.
constexpr size_t kMaxKey = 64, kMaxReplacement = 256;

// The fields of a unit of the double array (darts-clone's layout).
bool has_leaf(uint32_t unit) {
  return (unit >> 8 & 1) != 0;
}
uint32_t value(uint32_t unit) {
  return unit & 0x7FFFFFFFu;
}
uint32_t label(uint32_t unit) {
  return unit & 0x800000FFu;
}
uint32_t offset(uint32_t unit) {
  return (unit >> 10) << ((unit & (1u << 9)) >> 6);
}

uint32_t read_u32(std::string_view bytes, size_t at) {
  uint32_t out = 0;
  for (size_t i = 0; i < 4; ++i) out |= uint32_t{static_cast<uint8_t>(bytes[at + i])} << (8 * i);
  return out;
}

}  // namespace

Charsmap::Charsmap(std::string_view blob) {
  if (blob.empty()) return;
  if (blob.size() < 4)
    fail(ErrorKind::kInvalidInput, "precompiled_charsmap has {} bytes, at least 4 are needed",
         blob.size());
  const size_t size = read_u32(blob, 0);
  if (size % 4 != 0 || size > blob.size() - 4)
    fail(ErrorKind::kInvalidInput, "precompiled_charsmap names an array of {} bytes and has {}",
         size, blob.size() - 4);
  units_.reserve(size / 4);
  for (size_t at = 4; at < 4 + size; at += 4) units_.push_back(read_u32(blob, at));
  replacements_ = blob.substr(4 + size);
}

Charsmap::Match Charsmap::longest(std::string_view text, size_t at) const {
  Match best;
  if (units_.empty()) return best;
  size_t node = offset(units_[0]);
  const size_t end = std::min(text.size(), at + kMaxKey);
  for (size_t i = at; i < end; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (node >= units_.size() || label(units_[node]) != byte) break;
    const uint32_t unit = units_[node];
    node ^= offset(unit);
    if (!has_leaf(unit) || node >= units_.size()) continue;
    const size_t start = value(units_[node]);
    if (start >= replacements_.size()) continue;
    const std::string_view rest =
        std::string_view(replacements_).substr(start, kMaxReplacement + 1);
    const size_t size = rest.find('\0');
    if (size != std::string_view::npos) best = {i + 1 - at, rest.substr(0, size)};
  }
  return best;
}

}  // namespace cria::text
