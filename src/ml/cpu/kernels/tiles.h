// tiles.h - how the matmuls of this folder go through panels and columns.
#pragma once

#include "ml/cpu/kernels.h"
#include "ml/cpu/kernels/simd.h"

namespace cria::ml::cpu::CRIA_ISA {

// From so many columns on two neighbouring panels at once are faster than one.
inline constexpr int64_t kFewestForPairs = 4;

// Calls body(first, count) for all columns, in as few tiles of at most `most` as can be, all about
// as wide.
template <class Body>
CRIA_INLINE void for_tiles(int64_t columns, int64_t most, const Body& body) {
  int64_t done = 0;
  for (int64_t tiles = (columns + most - 1) / most; tiles > 0; --tiles) {
    const int64_t count = (columns - done + tiles - 1) / tiles;
    body(done, count);
    done += count;
  }
}

// Calls pair(panel) for two panels at a time if there are enough columns, one(panel) for the rest.
template <class Pair, class One>
CRIA_INLINE void for_panels(const MatmulArgs& a, int64_t columns, const Pair& pair,
                            const One& one) {
  int64_t panel = a.first_panel;
  if (columns >= kFewestForPairs)
    for (; panel + 2 <= a.last_panel; panel += 2) pair(panel);
  for (; panel < a.last_panel; ++panel) one(panel);
}

}  // namespace cria::ml::cpu::CRIA_ISA
