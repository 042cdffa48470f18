#include "ml/cpu/panels.h"

#include "ml/cpu/panel_kinds.h"
#include "quant/half.h"
#include "quant/iq_groups.h"

#include <array>
#include <cmath>
#include <cstring>

namespace cria::ml::cpu {
namespace {

using quant::DType;
using quant::half_to_float;

constexpr std::array<int8_t, 16> kIq4Values = {-127, -104, -83, -65, -49, -35, -22, -10,
                                               1,    13,   25,  38,  53,  69,  89,  113};
constexpr std::array<int8_t, 16> kFp4Values = {0, 1,  2,  3,  4,  6,  8,  12,
                                               0, -1, -2, -3, -4, -6, -8, -12};

float read_half(const uint8_t* p) {
  uint16_t x;
  std::memcpy(&x, p, 2);
  return half_to_float(x);
}

// Quant of element j (0..31) of row r in a packed block.
uint8_t packed_quant(const KindRow& kind, const uint8_t* block, int64_t r, int64_t j) {
  const uint8_t* bits = block + kind.scale_bytes;
  const uint8_t* pairs = bits + kind.bit_bytes;
  const uint8_t* quants = pairs + kind.pair_bytes;
  const int64_t g = j / 4, i = g * 64 + r * 4 + j % 4;
  if (kind.quant_bytes == 512) return quants[i];
  const int64_t at = i % 64;
  int q = 0;
  if (kind.quant_bytes == 192)
    q = g < 6 ? quants[g / 2 * 64 + at] >> (3 * (g % 2)) & 7
              : quants[(g - 6) * 64 + at] >> 6 | (quants[128 + at] >> g & 1) << 2;
  if (kind.quant_bytes == 256) q = g < 4 ? quants[i] & 15 : quants[i - 256] >> 4;
  if (kind.pair_bytes > 0)
    q |= (pairs[i / 256 * 64 + at] >> (2 * (g % 4)) & 3) << kind.pair_shift();
  if (kind.bit_bytes > 0) q |= (bits[at] >> g & 1) << 4;
  return static_cast<uint8_t>(q);
}

// Value of quant q of row r: the formulas of the block formats (src/quant/).
float value_of(PanelKind kind, const uint8_t* head, const uint8_t* scales, int64_t r, int64_t j,
               int q) {
  const uint8_t* s = scales + 2 * r;
  switch (kind) {
    case PanelKind::kQ4_0:
      return read_half(s) * static_cast<float>(q - 8);
    case PanelKind::kQ5_0:
      return read_half(s) * static_cast<float>(q - 16);
    case PanelKind::kQ8_0:
      return read_half(s) * static_cast<float>(q - 128);
    case PanelKind::kQ4_1:
    case PanelKind::kQ5_1:
      return read_half(s) * static_cast<float>(q) + read_half(s + 32);
    case PanelKind::kIQ4_NL:
      return read_half(s) * static_cast<float>(kIq4Values[static_cast<size_t>(q)]);
    case PanelKind::kMXFP4:
      return std::ldexp(static_cast<float>(kFp4Values[static_cast<size_t>(q)]), scales[r] - 128);
    case PanelKind::kQ4_K:
    case PanelKind::kQ5_K: {
      const float d = read_half(head + 2 * r) * static_cast<float>(scales[r]);
      return d * static_cast<float>(q) -
             read_half(head + 32 + 2 * r) * static_cast<float>(scales[16 + r]);
    }
    case PanelKind::kQ6_K: {
      const auto scale = static_cast<int8_t>(scales[16 * (j / 16) + r]);
      return read_half(head + 2 * r) * static_cast<float>(scale) * static_cast<float>(q - 32);
    }
    case PanelKind::kIQ4_XS:
      return read_half(head + 2 * r) * static_cast<float>(static_cast<int8_t>(scales[r])) *
             static_cast<float>(kIq4Values[static_cast<size_t>(q)]);
    case PanelKind::kQ2_K: {
      const int64_t half = 16 * (j / 16) + r;
      const float d = read_half(head + 2 * r) * static_cast<float>(scales[half]);
      return d * static_cast<float>(q) -
             read_half(head + 32 + 2 * r) * static_cast<float>(scales[32 + half]);
    }
    case PanelKind::kQ3_K: {
      const auto scale = static_cast<int8_t>(scales[16 * (j / 16) + r]);
      return read_half(head + 2 * r) * static_cast<float>(scale) * static_cast<float>(q - 4);
    }
    case PanelKind::kTQ:
      return read_half(head + 2 * r) * static_cast<float>(q - 1);
    default: {
      const quant::IqFormat* iq = quant::find_iq_format(row_of(kind).dtypes[0]);
      if (iq == nullptr) return 0;
      const int64_t half = row_of(kind).scale_bytes == 32 ? j / 16 : 0;
      return read_half(head + 2 * r) * iq->factor *
             static_cast<float>(static_cast<int8_t>(scales[16 * half + r])) *
             static_cast<float>(iq->levels[static_cast<size_t>(q)]);
    }
  }
}

}  // namespace

std::optional<PanelKind> panel_kind(DType dtype) noexcept {
  return kind_of(dtype);
}

bool takes_floats(PanelKind kind) noexcept {
  return kind <= PanelKind::kBF16;
}

int64_t panel_bytes(PanelKind kind, int64_t k) noexcept {
  const KindRow& row = row_of(kind);
  if (takes_floats(kind)) return row.quant_bytes / kBlock * k;
  return k / (kBlock * row.sub_blocks) * (row.head_bytes + row.sub_blocks * row.block_bytes());
}

void unpack_row(PanelKind kind, const uint8_t* panel, int64_t row, int64_t k, float* out) noexcept {
  const KindRow& shape = row_of(kind);
  if (takes_floats(kind)) {
    const int64_t width = shape.quant_bytes / kBlock / kPanelRows;
    for (int64_t i = 0; i < k; ++i) {
      const uint8_t* p = panel + (i * kPanelRows + row) * width;
      uint16_t half = 0;
      std::memcpy(&half, p, 2);
      if (kind == PanelKind::kF32)
        std::memcpy(out + i, p, 4);
      else
        out[i] = kind == PanelKind::kF16 ? half_to_float(half) : quant::bfloat_to_float(half);
    }
    return;
  }
  const uint8_t* head = panel;
  for (int64_t b = 0; b < k / kBlock; ++b) {
    if (b % shape.sub_blocks == 0) {
      head = panel;
      panel += shape.head_bytes;
    }
    for (int64_t j = 0; j < kBlock; ++j)
      out[b * kBlock + j] = value_of(kind, head, panel, row, j, packed_quant(shape, panel, row, j));
    panel += shape.block_bytes();
  }
}

}  // namespace cria::ml::cpu
