#include "ml/cpu/kv_store.h"

#include "base/error.h"
#include "ml/cpu/rope_table.h"
#include "quant/half.h"

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

bool is_half(DType dtype) {
  if (dtype != DType::kF16 && dtype != DType::kF32)
    fail(ErrorKind::kUnsupported, "the KV cache can be f16 or f32, not {}",
         quant::info(dtype).name);
  return dtype == DType::kF16;
}

}  // namespace

int64_t CpuKvStore::plan(const KvLayout& layout, int64_t pages, bool half,
                         std::vector<Layer>& layers) {
  int64_t offset = 0;
  for (const KvLayerLayout& shape : layout.layers) {
    Layer layer;
    layer.offset = offset;
    layer.head_bytes = align_up(
        kPageTokens * (shape.key_dim + align_up(shape.value_dim, 16)) * (half ? 2 : 4), 64);
    layer.frequencies = rope_frequencies(shape.rope, read_factors(shape.rope_factors));
    offset += align_up(layer.head_bytes * shape.kv_heads * pages, 4096);
    layers.push_back(std::move(layer));
  }
  return offset;
}

CpuKvStore::CpuKvStore(const KvLayout& layout, int64_t pages, const Kernels& kernels)
    : layout_(layout),
      pages_(pages),
      half_(is_half(layout.dtype)),
      kernels_(kernels),
      arena_(plan(layout, pages, half_, layers_)) {}

void CpuKvStore::copy_page(int32_t from, int32_t to) {
  for (size_t i = 0; i < layers_.size(); ++i) {
    const auto layer = static_cast<int64_t>(i);
    const auto bytes = static_cast<size_t>(layers_[i].head_bytes * layout_.layers[i].kv_heads);
    std::memcpy(head(layer, to, 0), head(layer, from, 0), bytes);
  }
}

void CpuKvStore::write(uint8_t* head, const KvLayerLayout& shape, int64_t slot, const float* key,
                       const float* value) const noexcept {
  const int64_t half = slot / 16, lane = slot % 16;
  const int64_t keys = shape.key_dim * kPageTokens, width = align_up(shape.value_dim, 16);
  if (half_) {
    auto* k = reinterpret_cast<uint16_t*>(head) + half * shape.key_dim * 16 + lane;
    for (int64_t d = 0; d < shape.key_dim; ++d) k[d * 16] = quant::float_to_half(key[d]);
    kernels_.to_half(reinterpret_cast<uint16_t*>(head) + keys + slot * width, value,
                     shape.value_dim);
  } else {
    auto* k = reinterpret_cast<float*>(head) + half * shape.key_dim * 16 + lane;
    for (int64_t d = 0; d < shape.key_dim; ++d) k[d * 16] = key[d];
    std::memcpy(reinterpret_cast<float*>(head) + keys + slot * width, value,
                static_cast<size_t>(shape.value_dim) * 4);
  }
}

float CpuKvStore::read_key(const uint8_t* head, int64_t key_dim, int64_t slot, int64_t d) const {
  const int64_t index = (slot / 16 * key_dim + d) * 16 + slot % 16;
  return half_ ? quant::half_to_float(reinterpret_cast<const uint16_t*>(head)[index])
               : reinterpret_cast<const float*>(head)[index];
}

void CpuKvStore::move_position(int64_t layer, std::span<const int32_t> pages, int64_t from,
                               int64_t to, std::span<const float> table) {
  const KvLayerLayout& shape = layout_.layers[static_cast<size_t>(layer)];
  const int64_t width = align_up(shape.value_dim, 16);
  std::vector<float> key(static_cast<size_t>(shape.key_dim)), value(static_cast<size_t>(width));
  const RopeArgs rope = {.table = table.data(),
                         .dims = shape.rope.dims,
                         .head_dim = shape.key_dim,
                         .heads = 1,
                         .halves = shape.rope.layout == RopeLayout::kHalves};
  for (int64_t h = 0; h < shape.kv_heads; ++h) {
    const uint8_t* source = head(layer, pages[static_cast<size_t>(from / kPageTokens)], h);
    const int64_t slot = from % kPageTokens;
    for (int64_t d = 0; d < shape.key_dim; ++d)
      key[static_cast<size_t>(d)] = read_key(source, shape.key_dim, slot, d);
    if (shape.rope.dims > 0) kernels_.rope(key.data(), key.data(), rope);
    const uint8_t* values = source + (shape.key_dim * kPageTokens + slot * width) * element();
    for (int64_t d = 0; d < shape.value_dim; ++d)
      value[static_cast<size_t>(d)] =
          half_ ? quant::half_to_float(reinterpret_cast<const uint16_t*>(values)[d])
                : reinterpret_cast<const float*>(values)[d];
    write(head(layer, pages[static_cast<size_t>(to / kPageTokens)], h), shape, to % kPageTokens,
          key.data(), value.data());
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
