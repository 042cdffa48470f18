#include "ml/cpu/kv_store.h"

#include "base/error.h"
#include "ml/cpu/rope_table.h"
#include "quant/half.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace cria::ml::cpu {
namespace {

std::vector<float> read_factors(const WeightSource* source) {
  if (source == nullptr) return {};
  const quant::DTypeInfo& type = quant::info(source->dtype);
  std::vector<std::byte> raw(static_cast<size_t>(source->bytes));
  source->file->read_at(source->offset, raw);
  const int64_t count = source->bytes / type.block_bytes * type.block_elements;
  std::vector<float> values(static_cast<size_t>(count));
  type.dequantize(raw.data(), values.data(), count);
  return values;
}

using AttentionKernel = void (*)(const AttentionArgs&) noexcept;

AttentionKernel kernel_for(DType dtype, const Kernels& kernels) {
  if (dtype == DType::kF16) return kernels.attention_f16;
  if (dtype == DType::kF32) return kernels.attention_f32;
  if (dtype == DType::kQ8_0) return kernels.attention_q8_0;
  fail(ErrorKind::kUnsupported, "the KV cache can be f16, q8_0 or f32, not {}",
       quant::info(dtype).name);
}

uint16_t* halves(uint8_t* p) {
  return reinterpret_cast<uint16_t*>(p);
}

// One head's part of a page, as kv_store.h lays it out: where its blocks of 32 values in q8_0 are.
struct Q8Head {
  uint8_t* head;
  const KvLayerLayout& shape;

  static constexpr int64_t kKeyBlock = kPanelRows * kQ8KvBytes,
                           kValueBlock = kPageTokens * kQ8KvBytes;
  int64_t key_blocks() const { return (shape.key_dim + kBlock - 1) / kBlock; }
  int64_t value_blocks() const { return (shape.value_dim + kBlock - 1) / kBlock; }
  int64_t bytes() const { return 2 * key_blocks() * kKeyBlock + value_blocks() * kValueBlock; }
  uint8_t* key_block(int64_t slot, int64_t block) const {
    return head + (slot / kPanelRows * key_blocks() + block) * kKeyBlock;
  }
  uint16_t* key_scale(int64_t slot, int64_t block) const {
    return halves(key_block(slot, block)) + slot % kPanelRows;
  }
  // Quant + 128 of the i-th key of a block.
  uint8_t* key(int64_t slot, int64_t block, int64_t i) const {
    return key_block(slot, block) + 2 * kPanelRows + i / 4 * 64 + slot % kPanelRows * 4 + i % 4;
  }
  uint8_t* value_block(int64_t block) const {
    return head + 2 * key_blocks() * kKeyBlock + block * kValueBlock;
  }
  uint16_t* value_scale(int64_t slot, int64_t block) const {
    return halves(value_block(block)) + slot;
  }
  int8_t* values(int64_t slot, int64_t block) const {
    return reinterpret_cast<int8_t*>(value_block(block) + 2 * kPageTokens + slot * kBlock);
  }
};

// Up to 32 values, those that are missing as zeros.
struct Q8Block {
  std::array<int8_t, kBlock> quants;
  uint16_t scale;

  Q8Block(const float* x, int64_t count, const Kernels& kernels) {
    std::array<float, kBlock> whole = {};
    std::copy_n(x, std::min(count, kBlock), whole.begin());
    std::array<uint8_t, column_block_bytes(1)> column;
    kernels.quantize(whole.data(), kBlock, column.data(), 1, 0);
    std::memcpy(quants.data(), column.data(), quants.size());
    float exact = 0;
    std::memcpy(&exact, column.data() + kBlock, sizeof exact);
    scale = quant::float_to_half(exact);
  }
};

void write_q8(const Q8Head& to, int64_t slot, const KvVectors& from, const Kernels& kernels) {
  for (int64_t b = 0; b < to.key_blocks(); ++b) {
    const Q8Block block(from.key + b * kBlock, to.shape.key_dim - b * kBlock, kernels);
    *to.key_scale(slot, b) = block.scale;
    for (int64_t i = 0; i < kBlock; ++i)
      *to.key(slot, b, i) = static_cast<uint8_t>(block.quants[static_cast<size_t>(i)] + 128);
  }
  for (int64_t b = 0; b < to.value_blocks(); ++b) {
    const Q8Block block(from.value + b * kBlock, to.shape.value_dim - b * kBlock, kernels);
    *to.value_scale(slot, b) = block.scale;
    std::memcpy(to.values(slot, b), block.quants.data(), block.quants.size());
  }
}

void read_q8(const Q8Head& from, int64_t slot, std::span<float> key, std::span<float> value) {
  for (size_t d = 0; d < key.size(); ++d) {
    const int64_t block = static_cast<int64_t>(d) / kBlock, i = static_cast<int64_t>(d) % kBlock;
    key[d] = static_cast<float>(*from.key(slot, block, i) - 128) *
             quant::half_to_float(*from.key_scale(slot, block));
  }
  for (size_t d = 0; d < value.size(); ++d) {
    const int64_t block = static_cast<int64_t>(d) / kBlock, i = static_cast<int64_t>(d) % kBlock;
    value[d] = static_cast<float>(from.values(slot, block)[i]) *
               quant::half_to_float(*from.value_scale(slot, block));
  }
}

}  // namespace

int64_t CpuKvStore::plan(const KvLayout& layout, int64_t pages, std::vector<Layer>& layers) {
  int64_t offset = 0;
  for (const KvLayerLayout& shape : layout.layers) {
    Layer layer;
    layer.offset = offset;
    const int64_t plain = kPageTokens * (shape.key_dim + align_up(shape.value_dim, 16)) *
                          (layout.dtype == DType::kF32 ? 4 : 2);
    layer.head_bytes = align_up(
        layout.dtype == DType::kQ8_0 ? Q8Head{.head = nullptr, .shape = shape}.bytes() : plain, 64);
    layer.frequencies = rope_frequencies(shape.rope, read_factors(shape.rope_factors));
    offset += align_up(layer.head_bytes * shape.kv_heads * pages, 4096);
    layers.push_back(std::move(layer));
  }
  return offset;
}

CpuKvStore::CpuKvStore(const KvLayout& layout, int64_t pages, const Kernels& kernels)
    : layout_(layout),
      pages_(pages),
      kernels_(kernels),
      attention_(kernel_for(layout.dtype, kernels)),
      arena_(plan(layout, pages, layers_)) {}

PageParts CpuKvStore::page_parts(int32_t page) {
  PageParts parts;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const int64_t bytes = layers_[i].head_bytes * layout_.layers[i].kv_heads;
    parts.push_back(std::as_writable_bytes(
        std::span(head(static_cast<int64_t>(i), page, 0), static_cast<size_t>(bytes))));
  }
  return parts;
}

void CpuKvStore::write(uint8_t* head, const KvLayerLayout& shape, int64_t slot,
                       const KvVectors& from) const noexcept {
  if (layout_.dtype == DType::kQ8_0)
    return write_q8({.head = head, .shape = shape}, slot, from, kernels_);
  const int64_t keys = shape.key_dim * kPageTokens, width = align_up(shape.value_dim, 16);
  if (layout_.dtype == DType::kF16) {
    auto* k = reinterpret_cast<uint16_t*>(head) + slot;
    for (int64_t d = 0; d < shape.key_dim; ++d)
      k[d * kPageTokens] = quant::float_to_half(from.key[d]);
    kernels_.to_half(reinterpret_cast<uint16_t*>(head) + keys + slot * width, from.value,
                     shape.value_dim);
  } else {
    auto* k = reinterpret_cast<float*>(head) + slot;
    for (int64_t d = 0; d < shape.key_dim; ++d) k[d * kPageTokens] = from.key[d];
    std::memcpy(reinterpret_cast<float*>(head) + keys + slot * width, from.value,
                static_cast<size_t>(shape.value_dim) * 4);
  }
}

void CpuKvStore::read(uint8_t* head, const KvLayerLayout& shape, int64_t slot, std::span<float> key,
                      std::span<float> value) const {
  if (layout_.dtype == DType::kQ8_0)
    return read_q8({.head = head, .shape = shape}, slot, key, value);
  const auto element = [&](int64_t i) {
    return layout_.dtype == DType::kF16
               ? quant::half_to_float(reinterpret_cast<const uint16_t*>(head)[i])
               : reinterpret_cast<const float*>(head)[i];
  };
  const int64_t row = shape.key_dim * kPageTokens + slot * align_up(shape.value_dim, 16);
  for (size_t d = 0; d < key.size(); ++d)
    key[d] = element(static_cast<int64_t>(d) * kPageTokens + slot);
  for (size_t d = 0; d < value.size(); ++d) value[d] = element(row + static_cast<int64_t>(d));
}

void CpuKvStore::move_position(int64_t layer, std::span<const int32_t> pages, int64_t from,
                               int64_t to, std::span<const float> table) {
  const KvLayerLayout& shape = layout_.layers[static_cast<size_t>(layer)];
  std::vector<float> key(static_cast<size_t>(shape.key_dim)),
      value(static_cast<size_t>(shape.value_dim));
  const RopeArgs rope = {.table = table.data(),
                         .dims = shape.rope.dims,
                         .head_dim = shape.key_dim,
                         .heads = 1,
                         .halves = shape.rope.layout == RopeLayout::kHalves};
  for (int64_t h = 0; h < shape.kv_heads; ++h) {
    read(head(layer, pages[static_cast<size_t>(from / kPageTokens)], h), shape, from % kPageTokens,
         key, value);
    if (shape.rope.dims > 0) kernels_.rope(key.data(), key.data(), rope);
    write(head(layer, pages[static_cast<size_t>(to / kPageTokens)], h), shape, to % kPageTokens,
          {.key = key.data(), .value = value.data()});
  }
}

void CpuKvStore::shift(std::span<const int32_t> pages, int64_t from, int64_t to, int64_t count) {
  CRIA_CHECK(to < from && to >= 0 && count >= 0, "positions move towards the front");
  for (size_t i = 0; i < layers_.size(); ++i) {
    std::vector<float> table(layers_[i].frequencies.size() * 2);
    rope_row(layers_[i].frequencies, to - from, 1.0f, table.data());
    for (int64_t p = 0; p < count; ++p)
      move_position(static_cast<int64_t>(i), pages, from + p, to + p, table);
  }
}

}  // namespace cria::ml::cpu
