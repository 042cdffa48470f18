// measure.h - what the programs of this folder share: a clock and a median.
#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

namespace cria {

// Of a clock that only goes forward.
inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The upper one of the two in the middle; 0 of nothing.
inline double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values.empty() ? 0 : values[values.size() / 2];
}

}  // namespace cria
