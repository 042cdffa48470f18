// iq_grids.h - the codebooks of the IQ formats, packed: one number a row.
//
// A row of 8 values has 2 bits a value, a row of 4 has 3; the lowest bits are the first value. A
// code counts up through the few magnitudes that the format knows.
#pragma once

#include <cstdint>

namespace cria::quant {

extern const uint16_t kGridIq2Xxs[256];
extern const uint16_t kGridIq2Xs[512];
extern const uint16_t kGridIq2S[1024];
extern const uint16_t kGridIq3Xxs[256];
extern const uint16_t kGridIq3S[512];
extern const uint16_t kGridIq1S[2048];  // IQ1_M uses it too

constexpr int kLevelsIq2[4] = {8, 25, 43, 0};  // the code 3 does not occur
constexpr int kLevelsIq3Xxs[8] = {4, 12, 20, 28, 36, 44, 52, 62};

// Value j of a packed row.
constexpr int iq2_value(uint16_t row, int j) noexcept {
  return kLevelsIq2[row >> (2 * j) & 3];
}
constexpr int iq1_value(uint16_t row, int j) noexcept {
  return (row >> (2 * j) & 3) - 1;
}
constexpr int iq3_xxs_value(uint16_t row, int j) noexcept {
  return kLevelsIq3Xxs[row >> (3 * j) & 7];
}
constexpr int iq3_s_value(uint16_t row, int j) noexcept {
  return 2 * (row >> (3 * j) & 7) + 1;
}

}  // namespace cria::quant
