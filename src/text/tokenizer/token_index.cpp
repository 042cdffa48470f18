#include "text/tokenizer/token_index.h"

#include "base/error.h"

#include <algorithm>
#include <limits>

namespace cria::text {

void TokenIndex::reserve(size_t capacity) {
  const size_t size = std::bit_ceil(std::max<size_t>(16, capacity * 2));
  slots_.assign(size, Slot{});
  mask_ = size - 1;
}

void TokenIndex::add(std::string_view key, TokenId id) {
  if (key.empty()) return;
  CRIA_CHECK(used_ * 2 <= slots_.size(), "a TokenIndex is made for a known number of keys");
  if (blob_.size() + key.size() > std::numeric_limits<uint32_t>::max())
    fail(ErrorKind::kTooLarge, "the texts of the vocabulary are together larger than 4 GiB");
  const uint64_t hash = hash_bytes(key);
  for (size_t i = hash & mask_;; i = (i + 1) & mask_) {
    Slot& slot = slots_[i];
    const auto check = static_cast<uint32_t>(hash >> 32);
    if (slot.id >= 0 && !(slot.check == check && same(slot, key))) continue;
    if (slot.id < 0) {
      slot = {check, id, static_cast<uint32_t>(blob_.size()), static_cast<uint32_t>(key.size())};
      blob_ += key;
      ++used_;
      longest_ = std::max(longest_, key.size());
    }
    return;
  }
}

}  // namespace cria::text
