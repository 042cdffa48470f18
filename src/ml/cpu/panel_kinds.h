// panel_kinds.h - what each kind of panel is made of: the table of panels.h in numbers.
#pragma once

#include "ml/cpu/panels.h"

#include <algorithm>
#include <array>
#include <optional>

namespace cria::ml::cpu {

struct KindRow {
  PanelKind kind;
  std::array<quant::DType, 2> dtypes;
  int64_t sub_blocks;   // blocks of 32 in a superblock
  int64_t head_bytes;   // before a superblock
  int64_t scale_bytes;  // at the start of a block
  int64_t bit_bytes;    // fifth bits, after the scales
  int64_t pair_bytes;   // two bits of each quant
  int64_t quant_bytes;  // the rest: nothing, three bits, nibbles, bytes or plain elements
  constexpr int64_t block_bytes() const {
    return scale_bytes + bit_bytes + pair_bytes + quant_bytes;
  }
  // Where in a quant the pairs are.
  int pair_shift() const { return quant_bytes == 256 ? 4 : 0; }
};

constexpr KindRow kind_row(PanelKind kind, quant::DType dtype, int64_t sub_blocks, int64_t head,
                           int64_t scales, int64_t bits, int64_t pairs, int64_t quants) {
  return {kind, {dtype, dtype}, sub_blocks, head, scales, bits, pairs, quants};
}

inline constexpr std::array kKindRows = {
    kind_row(PanelKind::kF32, quant::DType::kF32, 1, 0, 0, 0, 0, 64 * kBlock),
    kind_row(PanelKind::kF16, quant::DType::kF16, 1, 0, 0, 0, 0, 32 * kBlock),
    kind_row(PanelKind::kBF16, quant::DType::kBF16, 1, 0, 0, 0, 0, 32 * kBlock),
    kind_row(PanelKind::kQ4_0, quant::DType::kQ4_0, 1, 0, 32, 0, 0, 256),
    kind_row(PanelKind::kQ4_1, quant::DType::kQ4_1, 1, 0, 64, 0, 0, 256),
    kind_row(PanelKind::kQ5_0, quant::DType::kQ5_0, 1, 0, 32, 64, 0, 256),
    kind_row(PanelKind::kQ5_1, quant::DType::kQ5_1, 1, 0, 64, 64, 0, 256),
    kind_row(PanelKind::kQ8_0, quant::DType::kQ8_0, 1, 0, 32, 0, 0, 512),
    kind_row(PanelKind::kQ4_K, quant::DType::kQ4_K, 8, 64, 32, 0, 0, 256),
    kind_row(PanelKind::kQ5_K, quant::DType::kQ5_K, 8, 64, 32, 64, 0, 256),
    kind_row(PanelKind::kQ6_K, quant::DType::kQ6_K, 8, 32, 32, 0, 128, 256),
    kind_row(PanelKind::kIQ4_NL, quant::DType::kIQ4_NL, 1, 0, 32, 0, 0, 256),
    kind_row(PanelKind::kIQ4_XS, quant::DType::kIQ4_XS, 8, 32, 16, 0, 0, 256),
    kind_row(PanelKind::kMXFP4, quant::DType::kMXFP4, 1, 0, 16, 0, 0, 256),
    kind_row(PanelKind::kQ2_K, quant::DType::kQ2_K, 8, 64, 64, 0, 128, 0),
    kind_row(PanelKind::kQ3_K, quant::DType::kQ3_K, 8, 32, 32, 0, 0, 192),
    KindRow{PanelKind::kTQ, {quant::DType::kTQ1_0, quant::DType::kTQ2_0}, 8, 32, 0, 0, 128, 0},
    kind_row(PanelKind::kIQ2_XXS, quant::DType::kIQ2_XXS, 8, 32, 16, 0, 0, 192),
    KindRow{PanelKind::kIQ2, {quant::DType::kIQ2_XS, quant::DType::kIQ2_S}, 8, 32, 32, 0, 0, 192},
    kind_row(PanelKind::kIQ3_XXS, quant::DType::kIQ3_XXS, 8, 32, 16, 0, 0, 256),
    kind_row(PanelKind::kIQ3_S, quant::DType::kIQ3_S, 8, 32, 16, 0, 0, 256),
    KindRow{PanelKind::kIQ1, {quant::DType::kIQ1_S, quant::DType::kIQ1_M}, 8, 32, 32, 0, 0, 192},
};
static_assert(kKindRows.size() == kPanelKinds);

constexpr const KindRow& row_of(PanelKind kind) noexcept {
  return kKindRows[static_cast<size_t>(kind)];
}

constexpr std::optional<PanelKind> kind_of(quant::DType dtype) noexcept {
  for (const KindRow& row : kKindRows)
    if (std::ranges::find(row.dtypes, dtype) != row.dtypes.end()) return row.kind;
  return std::nullopt;
}

}  // namespace cria::ml::cpu
