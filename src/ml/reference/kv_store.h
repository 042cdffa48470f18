// kv_store.h - the KV cache of the reference backend: float32, one array of pages per layer.
#pragma once

#include "ml/backend.h"

#include <cstdint>
#include <span>
#include <vector>

namespace cria::ml::reference {

class FloatKvStore final : public KvStore {
 public:
  // Throws Error{kOutOfMemory} when the pages do not fit in memory. Reads the rope factors that the
  // layout names, which shift needs.
  FloatKvStore(const KvLayout& layout, int64_t pages);

  int64_t pages() const override { return pages_; }
  int64_t bytes() const override { return bytes_; }
  PageParts page_parts(int32_t page) override;
  void shift(std::span<const int32_t> pages, int64_t from, int64_t to, int64_t count) override;

  const KvLayerLayout& layout(int64_t layer) const { return at(layer).layout; }
  // {key_dim, kv_heads} and {value_dim, kv_heads} of one position of the sequence with these pages.
  std::span<float> key(int64_t layer, std::span<const int32_t> pages, int64_t position);
  std::span<float> value(int64_t layer, std::span<const int32_t> pages, int64_t position);
  // Room for one score per position that a sequence can have, so that attention allocates nothing.
  std::span<float> scores() { return scores_; }

 private:
  struct Layer {
    KvLayerLayout layout;
    std::vector<float> rope_factors;
    int64_t key_width = 0, value_width = 0;  // all heads of one position
    std::vector<float> keys, values;
  };
  const Layer& at(int64_t layer) const;
  int64_t slot(std::span<const int32_t> pages, int64_t position) const;

  int64_t pages_;
  int64_t bytes_ = 0;
  std::vector<Layer> layers_;
  std::vector<float> scores_;
};

}  // namespace cria::ml::reference
