// panels.h - weights packed for the kernels: 16 rows side by side, k-major, scales next to their
// quants, so that a thread reads one ascending stream and one lane is one row.
//
// A panel is a sequence of blocks of 32 k (superblocks of 256 k for the K formats). Inside a block
// the quants of k = 4g..4g+3 of the 16 rows are 64 bytes: row-major, 4 k each ("group" g of 8).
// With 4-bit quants group g is in the low nibbles of 64-byte vector g, group g + 4 in the high
// nibbles. Fifth bits: one vector, group g at bit g of each byte. Two bits (all of Q2_K, upper ones
// of Q6_K): vector u holds groups 4u..4u+3 at bit 2j. Three bits: vector u holds groups 2u and
// 2u + 1 at bits 0 and 3; the lower two bits of groups 6 and 7 are the upper ones of vectors 0 and
// 1, their third bits those of vector 2.
//
//   kind     before each superblock     each block of 32 k                         bytes of a block
//   Q4_0                                f16 d[16], nibbles                         288
//   Q4_1                                f16 d[16], f16 m[16], nibbles              320
//   Q5_0                                f16 d[16], fifth bits, nibbles             352
//   Q5_1                                f16 d[16], f16 m[16], fifth bits, nibbles  384
//   Q8_0                                f16 d[16], bytes q + 128                   544
//   IQ4_NL                              f16 d[16], nibbles (indices)               288
//   MXFP4                               u8 e[16], nibbles (indices)                272
//   Q4_K     f16 d[16], f16 dmin[16]    u8 scale[16], u8 min[16], nibbles          288
//   Q5_K     f16 d[16], f16 dmin[16]    u8 scale[16], u8 min[16], fifth, nibbles   352
//   Q6_K     f16 d[16]                  i8 scale[2][16], 2 upper bits, nibbles     416
//   IQ4_XS   f16 d[16]                  i8 scale[16], nibbles (indices)            272
//   Q2_K     f16 d[16], f16 dmin[16]    i8 scale[2][16], i8 min[2][16], 2 bits     192
//   Q3_K     f16 d[16]                  i8 scale[2][16], 3 bits                    224
//   TQ       f16 d[16]                  2 bits                                     128
//   IQ2_XXS  f16 d[16]                  i8 scale[16], 3 bits (codes)               208
//   IQ2, IQ1 f16 d[16]                  i8 scale[2][16], 3 bits (codes)            224
//   IQ3_XXS, f16 d[16]                  i8 scale[16], nibbles (codes)              272
//   IQ3_S
//   F32, F16, BF16                      per k: 16 elements
// IQ codes are those of quant/iq_groups.h: rows of codebooks are spelled out, which takes
// 3.25 to 4.25 bits a weight instead of the file's 1.6 to 3.4, but no look-up in the inner loop.
// Rows beyond the weight's last are zero. A vocabulary head of Q8_0 is packed otherwise: planes.h.
#pragma once

#include "ml/cpu/kernels.h"
#include "quant/dtype.h"

#include <optional>
#include <span>

namespace cria::ml::cpu {

// The panel kind that keeps `dtype` without loss; nullopt: only as float panels.
std::optional<PanelKind> panel_kind(quant::DType dtype) noexcept;
bool takes_floats(PanelKind kind) noexcept;  // activations are not quantised
int64_t panel_bytes(PanelKind kind, int64_t k) noexcept;

// Packs up to 16 rows (`native`: whole rows of `dtype`, k values each) into one panel.
void pack_panel(PanelKind kind, quant::DType dtype, std::span<const std::byte> native, int64_t k,
                uint8_t* panel);

// The k values of row `row` (0..15) of a panel, the same as dequantising the native row.
void unpack_row(PanelKind kind, const uint8_t* panel, int64_t row, int64_t k, float* out) noexcept;

}  // namespace cria::ml::cpu
