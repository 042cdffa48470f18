// pages.h - which pages of the KV store are in use, and by how many holders.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace cria::engine {

// A page is held by sequences and by the prefix cache; it is free when nobody holds it.
class PagePool {
 public:
  explicit PagePool(int64_t pages);
  // A page with one holder; nullopt when all are in use.
  std::optional<int32_t> take();
  void retain(int32_t page);
  void release(int32_t page);
  int64_t holders(int32_t page) const;
  int64_t free() const { return static_cast<int64_t>(free_.size()); }
  int64_t size() const { return static_cast<int64_t>(holders_.size()); }
  // Pages that have been taken at some time. Those that were never taken cost no memory yet, and
  // are taken last.
  int64_t touched() const { return touched_; }
  bool next_is_untouched() const { return !free_.empty() && free_.back() >= touched_; }

 private:
  std::vector<int32_t> holders_;
  std::vector<int32_t> free_;
  int64_t touched_ = 0;
};

}  // namespace cria::engine
