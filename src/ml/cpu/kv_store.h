// kv_store.h - pages of keys and values in the layout that kernels/attention.cpp reads.
#pragma once

#include "ml/backend.h"
#include "ml/cpu/arena.h"
#include "ml/cpu/kernels.h"

#include <vector>

namespace cria::ml::cpu {

class CpuKvStore final : public KvStore {
 public:
  // Throws Error{kUnsupported} for another dtype, {kOutOfMemory}.
  CpuKvStore(const KvLayout& layout, int64_t pages, const Kernels& kernels);

  int64_t pages() const override { return pages_; }
  int64_t bytes() const override { return arena_.bytes(); }
  void copy_page(int32_t from, int32_t to) override;
  void shift(std::span<const int32_t> pages, int64_t from, int64_t to, int64_t count) override;

  bool half() const { return half_; }
  const KvLayerLayout& layer(int64_t i) const { return layout_.layers[static_cast<size_t>(i)]; }
  // One head's part of a page.
  uint8_t* head(int64_t layer, int32_t page, int64_t head) const {
    const Layer& l = layers_[static_cast<size_t>(layer)];
    return arena_.data() + l.offset +
           (page * layout_.layers[static_cast<size_t>(layer)].kv_heads + head) * l.head_bytes;
  }
  // Writes one position of one head; key {key_dim}, value {value_dim}.
  void write(uint8_t* head, const KvLayerLayout& shape, int64_t slot, const float* key,
             const float* value) const noexcept;

 private:
  struct Layer {
    int64_t offset = 0, head_bytes = 0;
    std::vector<double> frequencies;  // of the keys' rotation
  };
  int64_t element() const { return half_ ? 2 : 4; }
  float read_key(const uint8_t* head, int64_t key_dim, int64_t slot, int64_t d) const;
  void move_position(int64_t layer, std::span<const int32_t> pages, int64_t from, int64_t to,
                     std::span<const float> table);
  static int64_t plan(const KvLayout& layout, int64_t pages, bool half, std::vector<Layer>& layers);

  KvLayout layout_;
  int64_t pages_;
  bool half_;
  const Kernels& kernels_;
  std::vector<Layer> layers_;
  Arena arena_;
};

}  // namespace cria::ml::cpu
