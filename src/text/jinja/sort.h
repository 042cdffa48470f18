// sort.h - a stable sort that stays inside its vector whatever the comparison says: a template can
// compare NaNs, and may throw half-way. std::sort promises neither.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace cria::jinja {

// `less` is called about n log n times.
template <class T, class Less>
void merge_sort(std::vector<T>& items, Less&& less) {
  std::vector<T> merged(items.size());
  for (size_t width = 1; width < items.size(); width *= 2) {
    for (size_t begin = 0; begin < items.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, items.size());
      const size_t end = std::min(begin + 2 * width, items.size());
      size_t left = begin, right = middle;
      for (size_t out = begin; out < end; ++out) {
        const bool take_right = left == middle || (right < end && less(items[right], items[left]));
        merged[out] = items[take_right ? right++ : left++];
      }
    }
    items.swap(merged);
  }
}

}  // namespace cria::jinja
