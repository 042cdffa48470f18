// rope.cpp - rotary positions (arXiv 2104.09864) with linear and YaRN (arXiv 2309.00071) scaling.

#include "ml/reference/ops.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace cria::ml::reference {
namespace {

// The pair index whose angle makes `turns` full turns over the original context.
double pair_with_turns(const RopeSpec& spec, double turns) {
  const double context = static_cast<double>(spec.original_context);
  return static_cast<double>(spec.dims) * std::log(context / (turns * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(double{spec.base}));
}

// 1 for pairs that turn fast and keep their frequency, 0 for slow ones that are interpolated.
double yarn_kept_part(const RopeSpec& spec, int64_t pair) {
  const double last = static_cast<double>(spec.dims - 1);
  const double low = std::max(0.0, std::floor(pair_with_turns(spec, double{spec.beta_fast})));
  const double high = std::min(last, std::ceil(pair_with_turns(spec, double{spec.beta_slow})));
  const double ramp = (static_cast<double>(pair) - low) / std::max(0.001, high - low);
  return 1.0 - std::clamp(ramp, 0.0, 1.0);
}

// Radians per position.
double frequency(const RopeSpec& spec, Input factors, int64_t pair) {
  const double exponent = -2.0 * static_cast<double>(pair) / static_cast<double>(spec.dims);
  double base = std::pow(double{spec.base}, exponent);
  if (!factors.empty()) base /= double{factors[static_cast<size_t>(pair)]};
  const double interpolated = base * double{spec.linear_scale};
  if (spec.extension == 0.0f) return interpolated;
  const double kept = yarn_kept_part(spec, pair) * double{spec.extension};
  return interpolated * (1.0 - kept) + base * kept;
}

}  // namespace

void rotate(Output heads, int64_t head_dim, const Rotation& rotation) noexcept {
  const RopeSpec& spec = rotation.spec;
  const int64_t half = spec.dims / 2;
  for (int64_t pair = 0; pair < half; ++pair) {
    const double angle = rotation.distance * frequency(spec, rotation.factors, pair);
    const auto cosine = static_cast<float>(std::cos(angle) * rotation.magnitude);
    const auto sine = static_cast<float>(std::sin(angle) * rotation.magnitude);
    const bool interleaved = spec.layout == RopeLayout::kInterleaved;
    const auto first = static_cast<size_t>(interleaved ? 2 * pair : pair);
    const size_t second = first + static_cast<size_t>(interleaved ? 1 : half);
    for (size_t head = 0; head < heads.size(); head += static_cast<size_t>(head_dim)) {
      const float u = heads[head + first], v = heads[head + second];
      heads[head + first] = u * cosine - v * sine;
      heads[head + second] = u * sine + v * cosine;
    }
  }
}

}  // namespace cria::ml::reference
