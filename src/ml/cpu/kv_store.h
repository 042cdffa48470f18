// kv_store.h - pages of keys and values in the layout that kernels/attention.cpp reads.
//
// One head's part of a page of 32 positions is its keys, then its values:
//   f16, f32   keys {32 positions, key_dim}; values {value_dim rounded up to 16, 32 positions}
//   q8_0       keys: two Q8_0 panels (panels.h) whose rows are positions, key_dim rounded up to 32;
//              values: per 32 of value_dim, rounded up, f16 scale[32 positions] and
//              int8 {32 values, 32 positions}
#pragma once

#include "ml/backend.h"
#include "ml/cpu/arena.h"
#include "ml/cpu/kernels.h"

#include <vector>

namespace cria::ml::cpu {

struct KvVectors {     // of one position and head
  const float* key;    // {key_dim}
  const float* value;  // {value_dim}
};

class CpuKvStore final : public KvStore {
 public:
  // Throws Error{kUnsupported} for another dtype, {kOutOfMemory}.
  CpuKvStore(const KvLayout& layout, int64_t pages, const Kernels& kernels);

  int64_t pages() const override { return pages_; }
  int64_t bytes() const override { return arena_.bytes(); }
  PageParts page_parts(int32_t page) override;
  void shift(std::span<const int32_t> pages, int64_t from, int64_t to, int64_t count) override;

  // The kernel that reads these pages.
  void attend(const AttentionArgs& args) const noexcept { attention_(args); }
  const KvLayerLayout& layer(int64_t i) const { return layout_.layers[static_cast<size_t>(i)]; }
  // One head's part of a page.
  uint8_t* head(int64_t layer, int32_t page, int64_t head) const {
    const Layer& l = layers_[static_cast<size_t>(layer)];
    return arena_.data() + l.offset +
           (page * layout_.layers[static_cast<size_t>(layer)].kv_heads + head) * l.head_bytes;
  }
  // Writes one position of one head.
  void write(uint8_t* head, const KvLayerLayout& shape, int64_t slot,
             const KvVectors& from) const noexcept;

 private:
  struct Layer {
    int64_t offset = 0, head_bytes = 0;
    std::vector<double> frequencies;  // of the keys' rotation
  };
  void read(uint8_t* head, const KvLayerLayout& shape, int64_t slot, std::span<float> key,
            std::span<float> value) const;
  void move_position(int64_t layer, std::span<const int32_t> pages, int64_t from, int64_t to,
                     std::span<const float> table);
  static int64_t plan(const KvLayout& layout, int64_t pages, std::vector<Layer>& layers);

  KvLayout layout_;
  int64_t pages_;
  const Kernels& kernels_;
  void (*attention_)(const AttentionArgs&) noexcept;
  std::vector<Layer> layers_;
  Arena arena_;
};

}  // namespace cria::ml::cpu
