// k_quantize.cpp - floats to Q2_K ... Q6_K.
//
// Two steps. First a scale (and for some a minimum) is searched for each sub-block that makes the
// weighted error small; then these are rounded to the few bits that the superblock has for them,
// and the codes are chosen anew for the rounded values.

#include "quant/blocks.h"
#include "quant/formats.h"

#include <algorithm>
#include <array>

namespace cria::quant {
namespace {

constexpr float kNothing = 1e-15f;  // magnitudes below count as zero

struct Extreme {
  float value = 0, magnitude = 0;  // the value of largest magnitude, with its sign
};

Extreme extreme(const float* x, int n) noexcept {
  Extreme e;
  for (int j = 0; j < n; ++j)
    if (std::abs(x[j]) > e.magnitude) e = {x[j], std::abs(x[j])};
  return e;
}

// Sums for fitting x = scale * code by least squares, where large values weigh more (x squared).
struct Fit {
  float xl = 0, ll = 0;
  void add(float x, int code) noexcept {
    const auto l = static_cast<float>(code);
    xl += x * x * x * l;
    ll += x * x * l * l;
  }
  float scale() const noexcept { return ll > 0 ? xl / ll : 0; }
};

// Scale of 16 values for codes -half .. half-1: tries 19 spacings around the obvious one.
float search_scale(const float* x, int half) noexcept {
  const Extreme e = extreme(x, 16);
  if (e.magnitude < kNothing) return 0;
  const auto fit_for = [&](float steps) {
    Fit fit;
    const float inverse = -steps / e.value;
    for (int j = 0; j < 16; ++j) fit.add(x[j], round_even(inverse * x[j], -half, half - 1));
    return fit;
  };
  const Fit first = fit_for(static_cast<float>(half));
  float scale = first.scale(), best = scale * first.xl;
  for (int k = -9; k <= 9; ++k) {
    if (k == 0) continue;
    const Fit fit = fit_for(static_cast<float>(half) + 0.1f * static_cast<float>(k));
    if (fit.ll > 0 && fit.xl * fit.xl > best * fit.ll) {
      scale = fit.scale();
      best = scale * fit.xl;
    }
  }
  return scale;
}

// Scale of 16 values for codes -4 .. 3: starts at the obvious codes and moves single ones while the
// fit improves, at most five rounds.
float descend_scale(const float* x) noexcept {
  const Extreme e = extreme(x, 16);
  if (e.magnitude < kNothing) return 0;
  std::array<int, 16> codes{};
  Fit fit;
  for (size_t j = 0; j < 16; ++j) {
    codes[j] = round_even(-4.0f / e.value * x[j], -4, 3);
    fit.add(x[j], codes[j]);
  }
  for (int round = 0; round < 5; ++round) {
    bool changed = false;
    for (size_t j = 0; j < 16; ++j) {
      const float w = x[j] * x[j];
      const auto old = static_cast<float>(codes[j]);
      Fit without{fit.xl - w * x[j] * old, fit.ll - w * old * old};
      if (!(without.xl > 0)) continue;
      const int code = round_even(x[j] * without.ll / without.xl, -4, 3);
      if (code == codes[j]) continue;
      without.add(x[j], code);
      if (without.ll > 0 && without.xl * without.xl * fit.ll > fit.xl * fit.xl * without.ll) {
        fit = without;
        codes[j] = code;
        changed = true;
      }
    }
    if (!changed) break;
  }
  return fit.scale();
}

struct Line {
  float scale = 0, min = 0;  // x = scale * code - min, min is not negative
};

struct LineSearch {
  int codes;          // the largest code
  float start, step;  // spacings tried: (codes + start + step * s) intervals over the range
  int steps;
  bool absolute_error;  // rather than squared
};

float error_of(const float* x, const float* w, const int* codes, int n, float scale, float min,
               bool absolute) noexcept {
  float total = 0;
  for (int j = 0; j < n; ++j) {
    const float diff = scale * static_cast<float>(codes[j]) + min - x[j];
    total += w[j] * (absolute ? std::abs(diff) : diff * diff);
  }
  return total;
}

// Least squares for x = scale * code + min with min <= 0; false when the codes do not determine it.
bool fit_line(const float* x, const float* w, const int* codes, int n, float& scale,
              float& min) noexcept {
  float sw = 0, sx = 0, sl = 0, sll = 0, sxl = 0;
  for (int j = 0; j < n; ++j) {
    const auto l = static_cast<float>(codes[j]);
    sw += w[j];
    sx += w[j] * x[j];
    sl += w[j] * l;
    sll += w[j] * l * l;
    sxl += w[j] * l * x[j];
  }
  const float determinant = sw * sll - sl * sl;
  if (!(determinant > 0)) return false;
  scale = (sw * sxl - sx * sl) / determinant;
  min = (sll * sx - sl * sxl) / determinant;
  if (min > 0) {
    min = 0;
    scale = sxl / sll;
  }
  return true;
}

Line search_line(const float* x, const float* w, int n, const LineSearch& search) noexcept {
  const auto [low, high] = std::minmax_element(x, x + n);
  float min = std::min(*low, 0.0f), scale = 0;
  if (!(*high > min)) return {0, -min};
  int codes[32];
  const auto assign = [&](float intervals) {
    const float inverse = intervals / (*high - min);
    for (int j = 0; j < n; ++j) codes[j] = round_even(inverse * (x[j] - min), 0, search.codes);
    return 1.0f / inverse;
  };
  const auto top = static_cast<float>(search.codes);
  scale = assign(top);
  float least = error_of(x, w, codes, n, scale, min, search.absolute_error);
  for (int s = 0; s <= search.steps; ++s) {
    assign(search.start + search.step * static_cast<float>(s) + top);  // from the best min so far
    float next_scale = 0, next_min = 0;
    if (!fit_line(x, w, codes, n, next_scale, next_min)) continue;
    const float error = error_of(x, w, codes, n, next_scale, next_min, search.absolute_error);
    if (error < least) {
      least = error;
      scale = next_scale;
      min = next_min;
    }
  }
  return {scale, -min};
}

// 32 values weigh by their size, above a floor of their mean magnitude.
Line search_line_32(const float* x, const LineSearch& search) noexcept {
  float squares = 0, w[32];
  for (int j = 0; j < 32; ++j) squares += x[j] * x[j];
  const float mean = std::sqrt(squares / 32.0f);
  for (int j = 0; j < 32; ++j) w[j] = mean + std::abs(x[j]);
  return search_line(x, w, 32, search);
}

// Scales and minima of the sub-blocks, rounded to whole multiples of two halves d and min.
template <size_t kSubBlocks>
struct Rounded {
  std::array<int, kSubBlocks> scale{}, min{};
  float d = 0, d_min = 0;  // as stored: rounded to half
};

template <size_t kSubBlocks>
Rounded<kSubBlocks> round_lines(const std::array<Line, kSubBlocks>& lines, int top) noexcept {
  float largest_scale = 0, largest_min = 0;
  for (const Line& line : lines) {
    largest_scale = std::max(largest_scale, line.scale);
    largest_min = std::max(largest_min, line.min);
  }
  const auto limit = static_cast<float>(top);
  const float scale_inverse = largest_scale > 0 ? limit / largest_scale : 0;
  const float min_inverse = largest_min > 0 ? limit / largest_min : 0;
  Rounded<kSubBlocks> r;
  for (size_t j = 0; j < kSubBlocks; ++j) {
    r.scale[j] = round_even(scale_inverse * lines[j].scale, 0, top);
    r.min[j] = round_even(min_inverse * lines[j].min, 0, top);
  }
  r.d = half_to_float(float_to_half(largest_scale / limit));
  r.d_min = half_to_float(float_to_half(largest_min / limit));
  return r;
}

// Codes of sub-block j with `n` values for the rounded scale and minimum.
template <size_t kSubBlocks>
void line_codes(const float* x, int n, const Rounded<kSubBlocks>& r, size_t j, int top,
                int* codes) noexcept {
  const float scale = r.d * static_cast<float>(r.scale[j]);
  const float min = r.d_min * static_cast<float>(r.min[j]);
  for (int i = 0; i < n; ++i) codes[i] = scale != 0 ? round_even((x[i] + min) / scale, 0, top) : 0;
}

// The inverse of scale_and_min in blocks.h.
void put_scales_and_mins(std::byte* s, const Rounded<8>& r) noexcept {
  for (size_t j = 0; j < 4; ++j) {
    s[j] = static_cast<std::byte>(r.scale[j] | r.scale[j + 4] >> 4 << 6);
    s[j + 4] = static_cast<std::byte>(r.min[j] | r.min[j + 4] >> 4 << 6);
    s[j + 8] = static_cast<std::byte>((r.scale[j + 4] & 15) | (r.min[j + 4] & 15) << 4);
  }
}

// d, d_min, the packed scales and the codes of a Q4_K or Q5_K block.
void quantize_lines(const float* x, std::byte* p, const LineSearch& search, int* codes) noexcept {
  std::array<Line, 8> lines;
  for (size_t j = 0; j < 8; ++j) lines[j] = search_line_32(x + 32 * j, search);
  const Rounded<8> r = round_lines(lines, 63);
  put_half(p, r.d);
  put_half(p + 2, r.d_min);
  put_scales_and_mins(p + 4, r);
  for (size_t j = 0; j < 8; ++j) line_codes(x + 32 * j, 32, r, j, search.codes, codes + 32 * j);
}

// Sixteen signed scales as multiples of a half: the one of largest magnitude becomes -levels.
struct SignedScales {
  std::array<int, 16> scale{};
  float d = 0;
};

SignedScales round_signed(const std::array<float, 16>& scales, int levels) noexcept {
  const Extreme e = extreme(scales.data(), 16);
  SignedScales r;
  if (!(e.magnitude >= kNothing)) return r;
  const float inverse = -static_cast<float>(levels) / e.value;
  for (size_t j = 0; j < 16; ++j) r.scale[j] = round_even(inverse * scales[j], -levels, levels - 1);
  r.d = half_to_float(float_to_half(1.0f / inverse));
  return r;
}

// Codes 0 .. 2*half-1 of 256 values for the rounded scales of their sixteens.
void signed_codes(const float* x, const SignedScales& r, int half, int* codes) noexcept {
  for (size_t i = 0; i < 256; ++i) {
    const float scale = r.d * static_cast<float>(r.scale[i / 16]);
    codes[i] = (scale != 0 ? round_even(x[i] / scale, -half, half - 1) : 0) + half;
  }
}

// Two bits of each code, in the order of Q2_K and Q3_K: a byte holds values 32 apart.
void put_two_bits(std::byte* q, const int* codes) noexcept {
  for (int i = 0; i < 64; ++i) {
    const int* first = codes + 128 * (i / 32) + i % 32;
    int packed = 0;
    for (int t = 0; t < 4; ++t) packed |= (first[32 * t] & 3) << (2 * t);
    q[i] = static_cast<std::byte>(packed);
  }
}

// Low nibbles of Q4_K and Q5_K: a byte holds values of two neighbouring sub-blocks.
void put_low_nibbles(std::byte* q, const int* codes) noexcept {
  for (int i = 0; i < 128; ++i) {
    const int* first = codes + 64 * (i / 32) + i % 32;
    put_nibbles(q, i, first[0] & 15, first[32] & 15);
  }
}

}  // namespace

void quantize_q2_k(const float* in, std::byte* out, int64_t count) noexcept {
  quantize_blocks<256, 84>(in, out, count, [](const float* x, std::byte* p) {
    std::array<Line, 16> lines;
    for (size_t j = 0; j < 16; ++j) {
      float w[16];
      for (size_t i = 0; i < 16; ++i) w[i] = std::abs(x[16 * j + i]);
      lines[j] = search_line(x + 16 * j, w, 16, {3, -0.5f, 0.1f, 15, true});
    }
    const Rounded<16> r = round_lines(lines, 15);
    int codes[256];
    for (size_t j = 0; j < 16; ++j) {
      put_nibbles(p, static_cast<int64_t>(j), r.scale[j], r.min[j]);
      line_codes(x + 16 * j, 16, r, j, 3, codes + 16 * j);
    }
    put_two_bits(p + 16, codes);
    put_half(p + 80, r.d);
    put_half(p + 82, r.d_min);
  });
}

void quantize_q3_k(const float* in, std::byte* out, int64_t count) noexcept {
  quantize_blocks<256, 110>(in, out, count, [](const float* x, std::byte* p) {
    std::array<float, 16> scales;
    for (size_t j = 0; j < 16; ++j) scales[j] = descend_scale(x + 16 * j);
    const SignedScales r = round_signed(scales, 32);
    int codes[256];
    signed_codes(x, r, 4, codes);
    for (int i = 0; i < 32; ++i) {
      int high = 0;
      for (int t = 0; t < 8; ++t) high |= (codes[32 * t + i] >> 2) << t;
      p[i] = static_cast<std::byte>(high);
    }
    put_two_bits(p + 32, codes);
    std::array<int, 16> s;  // stored with an offset of 32: four bits here, two there
    for (size_t j = 0; j < 16; ++j) s[j] = r.scale[j] + 32;
    for (size_t j = 0; j < 8; ++j)
      put_nibbles(p + 96, static_cast<int64_t>(j), s[j] & 15, s[j + 8] & 15);
    for (size_t j = 0; j < 4; ++j)
      p[104 + j] = static_cast<std::byte>(s[j] >> 4 | s[j + 4] >> 4 << 2 | s[j + 8] >> 4 << 4 |
                                          s[j + 12] >> 4 << 6);
    put_half(p + 108, r.d);
  });
}

void quantize_q4_k(const float* in, std::byte* out, int64_t count) noexcept {
  quantize_blocks<256, 144>(in, out, count, [](const float* x, std::byte* p) {
    int codes[256];
    quantize_lines(x, p, {15, -1.0f, 0.1f, 20, false}, codes);
    put_low_nibbles(p + 16, codes);
  });
}

void quantize_q5_k(const float* in, std::byte* out, int64_t count) noexcept {
  quantize_blocks<256, 176>(in, out, count, [](const float* x, std::byte* p) {
    int codes[256];
    quantize_lines(x, p, {31, -0.5f, 0.1f, 15, false}, codes);
    for (int i = 0; i < 32; ++i) {
      int fifth = 0;
      for (int sub = 0; sub < 8; ++sub) fifth |= codes[32 * sub + i] >> 4 << sub;
      p[16 + i] = static_cast<std::byte>(fifth);
    }
    put_low_nibbles(p + 48, codes);
  });
}

void quantize_q6_k(const float* in, std::byte* out, int64_t count) noexcept {
  quantize_blocks<256, 210>(in, out, count, [](const float* x, std::byte* p) {
    std::array<float, 16> scales;
    for (size_t j = 0; j < 16; ++j) scales[j] = search_scale(x + 16 * j, 32);
    const SignedScales r = round_signed(scales, 128);
    int codes[256];
    signed_codes(x, r, 32, codes);
    for (int i = 0; i < 64; ++i) {
      const int* first = codes + 128 * (i / 32) + i % 32;
      const int64_t low = 64 * (i / 32) + i % 32;
      put_nibbles(p, low, first[0] & 15, first[64] & 15);
      put_nibbles(p, low + 32, first[32] & 15, first[96] & 15);
      p[128 + i] = static_cast<std::byte>(first[0] >> 4 | first[32] >> 4 << 2 |
                                          first[64] >> 4 << 4 | first[96] >> 4 << 6);
    }
    for (size_t j = 0; j < 16; ++j) p[192 + j] = static_cast<std::byte>(r.scale[j]);
    put_half(p + 208, r.d);
  });
}

}  // namespace cria::quant
