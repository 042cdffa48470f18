// rope_table.h - cosines and sines of rotary position embeddings.
#pragma once

#include "ml/graph.h"

#include <span>
#include <vector>

namespace cria::ml::cpu {

// Angle per position of each pair: position * frequency[i] is the angle (see RopeSpec).
std::vector<double> rope_frequencies(const RopeSpec& spec, std::span<const float> factors);

// out[2i] = cos, out[2i + 1] = sin of pair i at `position`, times `magnitude`.
void rope_row(std::span<const double> frequencies, int64_t position, float magnitude,
              float* out) noexcept;

}  // namespace cria::ml::cpu
