#include "ml/reference/kv_store.h"

#include "base/error.h"
#include "ml/reference/ops.h"
#include "ml/reference/weights.h"

#include <algorithm>
#include <new>
#include <stdexcept>

namespace cria::ml::reference {
namespace {

std::vector<float> allocate(int64_t pages, int64_t width) {
  int64_t elements = 0;
  const bool overflow = __builtin_mul_overflow(pages * kPageTokens, width, &elements);
  try {
    if (overflow) throw std::length_error("");
    return std::vector<float>(static_cast<size_t>(elements));
  } catch (const std::exception&) {  // bad_alloc or length_error
    fail(ErrorKind::kOutOfMemory, "no memory for a KV cache of {} tokens of {} values a layer",
         pages * kPageTokens, width);
  }
}

}  // namespace

FloatKvStore::FloatKvStore(const KvLayout& layout, int64_t pages) : pages_(pages) {
  CRIA_CHECK(pages > 0, "a cache has at least one page");
  for (const KvLayerLayout& given : layout.layers) {
    Layer layer{.layout = given,
                .key_width = given.kv_heads * given.key_dim,
                .value_width = given.kv_heads * given.value_dim};
    if (given.rope_factors != nullptr)
      layer.rope_factors = load_floats(*given.rope_factors, given.rope.dims / 2);
    layer.keys = allocate(pages, layer.key_width);
    layer.values = allocate(pages, layer.value_width);
    bytes_ += static_cast<int64_t>((layer.keys.size() + layer.values.size()) * sizeof(float));
    layers_.push_back(std::move(layer));
  }
  scores_ = allocate(pages, 1);
}

const FloatKvStore::Layer& FloatKvStore::at(int64_t layer) const {
  CRIA_CHECK(layer >= 0 && layer < static_cast<int64_t>(layers_.size()), "a layer of the layout");
  return layers_[static_cast<size_t>(layer)];
}

int64_t FloatKvStore::slot(std::span<const int32_t> pages, int64_t position) const {
  const auto index = static_cast<size_t>(position / kPageTokens);
  CRIA_CHECK(position >= 0 && index < pages.size(), "the page table covers the position");
  const int64_t page = pages[index];
  CRIA_CHECK(page >= 0 && page < pages_, "a page of this store");
  return page * kPageTokens + position % kPageTokens;
}

std::span<float> FloatKvStore::key(int64_t layer, std::span<const int32_t> pages,
                                   int64_t position) {
  const Layer& l = at(layer);
  return std::span(layers_[static_cast<size_t>(layer)].keys)
      .subspan(static_cast<size_t>(slot(pages, position) * l.key_width),
               static_cast<size_t>(l.key_width));
}

std::span<float> FloatKvStore::value(int64_t layer, std::span<const int32_t> pages,
                                     int64_t position) {
  const Layer& l = at(layer);
  return std::span(layers_[static_cast<size_t>(layer)].values)
      .subspan(static_cast<size_t>(slot(pages, position) * l.value_width),
               static_cast<size_t>(l.value_width));
}

PageParts FloatKvStore::page_parts(int32_t page) {
  CRIA_CHECK(page >= 0 && page < pages_, "a page of this store");
  PageParts parts;
  for (Layer& layer : layers_) {
    const auto add = [&](std::vector<float>& data, int64_t width) {
      const int64_t size = kPageTokens * width;
      parts.push_back(std::as_writable_bytes(
          std::span(data).subspan(static_cast<size_t>(page * size), static_cast<size_t>(size))));
    };
    add(layer.keys, layer.key_width);
    add(layer.values, layer.value_width);
  }
  return parts;
}

void FloatKvStore::shift(std::span<const int32_t> pages, int64_t from, int64_t to, int64_t count) {
  CRIA_CHECK(to >= 0 && to < from, "positions move down");
  for (int64_t layer = 0; layer < static_cast<int64_t>(layers_.size()); ++layer) {
    const Layer& l = at(layer);
    // The stored keys already carry the magnitude of their first rotation.
    const Rotation back{l.layout.rope, l.rope_factors, static_cast<double>(to - from), 1.0};
    for (int64_t i = 0; i < count; ++i) {  // ascending: the target is never read later
      std::ranges::copy(value(layer, pages, from + i), value(layer, pages, to + i).begin());
      const std::span<float> moved = key(layer, pages, to + i);
      std::ranges::copy(key(layer, pages, from + i), moved.begin());
      rotate(moved, l.layout.key_dim, back);
    }
  }
}

}  // namespace cria::ml::reference
