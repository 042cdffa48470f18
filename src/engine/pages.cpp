#include "engine/pages.h"

#include "base/error.h"

#include <algorithm>

namespace cria::engine {

PagePool::PagePool(int64_t pages) : holders_(static_cast<size_t>(pages), 0) {
  free_.reserve(holders_.size());
  for (int64_t i = pages - 1; i >= 0; --i) free_.push_back(static_cast<int32_t>(i));
}

std::optional<int32_t> PagePool::take() {
  if (free_.empty()) return std::nullopt;
  const int32_t page = free_.back();
  free_.pop_back();
  holders_[static_cast<size_t>(page)] = 1;
  touched_ = std::max<int64_t>(touched_, page + 1);
  return page;
}

void PagePool::retain(int32_t page) {
  CRIA_CHECK(holders(page) > 0, "only a page in use gets another holder");
  ++holders_[static_cast<size_t>(page)];
}

void PagePool::release(int32_t page) {
  CRIA_CHECK(holders(page) > 0, "a page is released as often as it is held");
  if (--holders_[static_cast<size_t>(page)] == 0) free_.push_back(page);
}

int64_t PagePool::holders(int32_t page) const {
  CRIA_CHECK(page >= 0 && static_cast<size_t>(page) < holders_.size(), "a page of this pool");
  return holders_[static_cast<size_t>(page)];
}

}  // namespace cria::engine
