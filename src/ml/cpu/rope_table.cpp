#include "ml/cpu/rope_table.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace cria::ml::cpu {
namespace {

// Index of the pair that turns `rotations` times over the original context (YaRN, section 3.2).
double pair_of_rotations(const RopeSpec& spec, double rotations) {
  const double dims = static_cast<double>(spec.dims);
  return dims *
         std::log(static_cast<double>(spec.original_context) / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(static_cast<double>(spec.base)));
}

}  // namespace

std::vector<double> rope_frequencies(const RopeSpec& spec, std::span<const float> factors) {
  std::vector<double> result(static_cast<size_t>(spec.dims / 2));
  double low = 0, high = 0;
  if (spec.extension != 0) {
    low = std::max(0.0, std::floor(pair_of_rotations(spec, spec.beta_fast)));
    high = std::min(static_cast<double>(spec.dims - 1),
                    std::ceil(pair_of_rotations(spec, spec.beta_slow)));
  }
  for (size_t i = 0; i < result.size(); ++i) {
    const double pair = static_cast<double>(i);
    double frequency =
        std::pow(static_cast<double>(spec.base), -2.0 * pair / static_cast<double>(spec.dims));
    if (!factors.empty()) frequency /= static_cast<double>(factors[i]);
    double keep = 0;  // share of the unscaled frequency
    if (spec.extension != 0)
      keep =
          (1 - std::clamp((pair - low) / std::max(0.001, high - low), 0.0, 1.0)) * spec.extension;
    result[i] = frequency * (spec.linear_scale * (1 - keep) + keep);
  }
  return result;
}

void rope_row(std::span<const double> frequencies, int64_t position, float magnitude,
              float* out) noexcept {
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double angle = static_cast<double>(position) * frequencies[i];
    out[2 * i] = static_cast<float>(std::cos(angle)) * magnitude;
    out[2 * i + 1] = static_cast<float>(std::sin(angle)) * magnitude;
  }
}

}  // namespace cria::ml::cpu
