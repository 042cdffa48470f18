// weights.h - weights as floats.
#pragma once

#include "ml/graph.h"

#include <cstdint>
#include <vector>

namespace cria::ml::reference {

// Reads and dequantises `elements` values. Throws Error naming the tensor when its type has no
// conversion to float or its size disagrees.
std::vector<float> load_floats(const WeightSource& source, int64_t elements);

}  // namespace cria::ml::reference
