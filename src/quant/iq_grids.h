// iq_grids.h - the codebooks of the IQ formats, packed: one number a row.
//
// A row of 8 values has 2 bits a value, a row of 4 has 3; the lowest bits are the first value. A
// code counts up through the few magnitudes that the format knows.
#pragma once

#include <cstdint>

namespace cria::quant {

extern const uint16_t kGridIQ2_XXS[256];
extern const uint16_t kGridIQ2_XS[512];
extern const uint16_t kGridIQ2_S[1024];
extern const uint16_t kGridIQ3_XXS[256];
extern const uint16_t kGridIQ3_S[512];
extern const uint16_t kGridIQ1_S[2048];  // IQ1_M uses it too

constexpr int kLevelsIQ2[4] = {8, 25, 43, 0};  // the code 3 does not occur
constexpr int kLevelsIQ3_XXS[8] = {4, 12, 20, 28, 36, 44, 52, 62};

// Value j of a packed row.
constexpr int iq2_value(uint16_t row, int j) noexcept {
  return kLevelsIQ2[row >> (2 * j) & 3];
}
constexpr int iq1_value(uint16_t row, int j) noexcept {
  return (row >> (2 * j) & 3) - 1;
}
constexpr int iq3_xxs_value(uint16_t row, int j) noexcept {
  return kLevelsIQ3_XXS[row >> (3 * j) & 7];
}
constexpr int iq3_s_value(uint16_t row, int j) noexcept {
  return 2 * (row >> (3 * j) & 7) + 1;
}

}  // namespace cria::quant
