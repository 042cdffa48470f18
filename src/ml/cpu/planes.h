// planes.h - a vocabulary head of 8 bits in two planes, so that the best logits can be found by
// reading little more than half of its bytes, and be exactly those of a full pass.
//
// A quant q in 0..255 (the weight is d (q - 128)) is 16 h + l. The high plane is panels as in
// panels.h with the nibbles h; the low plane is rows, one after another: 16 bytes for a block of
// 32 k, byte j with the l of element j in its low and of element j + 16 in its high nibble.
//
//   high panel   u8 error[16], f16 least[16], f16 largest[16], then per block f16 d[16], nibbles
//
// least and largest are the extremes of the row's d; error is explained below. Rows beyond the
// weight's last are zero.
//
// Why nothing is lost. With e = l - 7.5, a row's product is y + sum over blocks of d (e . x), where
// y is known from the high plane. By Cauchy and Schwarz, and because |e| <= 7.5, for any one
// element j of a block
//   |e . x| <= 7.5 |x_j| + norm(e) norm(x without x_j) <= error * part(x),
//   part(x) = min(norm(x), 7.5 / 24 |x_j| + norm(x without x_j)),
// with error the greatest norm(e) of the row's blocks, and at least 24. So the product is within
// error * reach of y, where reach = sum of |d| part(x): no assumption about the numbers, hence no
// chance that a row is missed. The low bits of a row narrow this down without its d: with
// D = (least + largest) / 2, the product is within (largest - least) / 2 * sum |e . x| of
// y + D sum (e . x). Whatever may still be among the best is computed as in a full pass.
//
// Rounding. All sums in float together (high plane, low plane, full pass) are off by less than
// (blocks + 2) / 512 * reach: the terms of a block add up to at most 361 |d| sum |x| in the high
// plane, each rounded twice, 23 |d| sum |x| in the low one and 128 |d| sum |x| in the full pass;
// sum |x| is at most sqrt(32) norm(x) and norm(x) at most 3.2 part(x), so one rounding of 2^-24 in
// each of `blocks` additions makes 16000 * 2^-24 * blocks * reach, and 2^-9 is twice that.
#pragma once

#include "ml/cpu/kernels.h"

#include <span>
#include <vector>

namespace cria::ml::cpu {

int64_t high_panel_bytes(int64_t k) noexcept;

// Packs up to 16 rows (`native`: whole rows of kQ8_0, k values each, k a multiple of 128) into one
// high panel and 16 rows of k / 2 bytes.
void pack_planes(std::span<const std::byte> native, int64_t k, uint8_t* high, uint8_t* low);

// The k values of row `row` (0..15) of a panel, the same as dequantising the native row; `low` is
// the panel's first row.
void unpack_planes_row(const uint8_t* high, const uint8_t* low, int64_t row, int64_t k,
                       float* out) noexcept;

// What the bounds need to know of one quantised column.
class PlanesColumn {
 public:
  explicit PlanesColumn(int64_t k);
  void set(const uint8_t* quantized) noexcept;  // a group of one column

  const float* blocks() const { return blocks_.data(); }  // {k / kBlock}: part(x)
  float rounding() const { return rounding_; }            // as a share of reach
  float total() const { return total_; }                  // of part(x)
  // For each 128 k: the activations of 64 low nibbles, then those of the 64 high ones, in the order
  // of a low row; float scale[16]; float -7.5 * scale * sum[16] of each lane's 8 activations.
  const uint8_t* lanes() const { return lanes_.data(); }

 private:
  int64_t k_;
  float rounding_, total_ = 0;
  std::vector<float> blocks_;
  std::vector<uint8_t> lanes_;
};

// The greatest value that the full pass may have for a row, from y of its high panel (row `row` of
// it) and the sums of its low bits.
float planes_limit(float y, const uint8_t* high, int64_t row, const float* sums,
                   const PlanesColumn& column) noexcept;

}  // namespace cria::ml::cpu
