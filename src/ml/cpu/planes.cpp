#include "ml/cpu/planes.h"

#include "ml/cpu/row_words.h"
#include "quant/half.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

namespace cria::ml::cpu {
namespace {

constexpr int64_t kHighBlock = 288, kNativeBlock = 34;
constexpr float kLeastError = 24.0f;  // typical is 26, with equally likely low bits
constexpr float kUp = 1.0001f;        // more than the rounding of the few products here

float half_at(const uint8_t* p) {
  uint16_t x;
  std::memcpy(&x, p, 2);
  return quant::half_to_float(x);
}

void put_half(uint8_t* p, float x) {
  const uint16_t half = quant::float_to_half(x);
  std::memcpy(p, &half, 2);
}

// Where element j of row r is in the quants of a block of kQ8_0.
size_t place(int64_t r, int64_t j) {
  return static_cast<size_t>(j / 4 * 64 + r * 4 + j % 4);
}

// The high halves of q + 128 of a block of 16 rows, behind its scales.
void pack_high_bits(const Rows& rows, uint8_t* out) {
  std::array<Lanes, 8> q;
  load_words(rows, 2, q.data());
  load_words(rows, 18, q.data() + 4);
  for (size_t r = 0; r < kLanes; ++r) std::memcpy(out + 2 * r, rows[r], 2);
  for (size_t g = 0; g < 4; ++g) {
    Lanes both;
    for (size_t r = 0; r < kLanes; ++r)
      both[r] = ((q[g][r] >> 4 & 0x0f0f0f0f) | (q[g + 4][r] & 0xf0f0f0f0)) ^ 0x88888888;
    std::memcpy(out + 32 + 64 * g, both.data(), sizeof both);
  }
}

// The low halves of a row's block; returns the sum of the squares of their distances from 7.5.
float pack_low_bits(const std::byte* native, uint8_t* row) {
  std::array<uint8_t, kBlock> q;
  std::memcpy(q.data(), native, q.size());
  for (size_t j = 0; j < 16; ++j)
    row[j] = static_cast<uint8_t>((q[j] & 15) | (q[j + 16] & 15) << 4);
  int squares = 0;  // of twice the distances
  for (const uint8_t x : q) {
    const int twice = 2 * (x & 15) - 15;
    squares += twice * twice;
  }
  return 0.25f * static_cast<float>(squares);  // exact
}

// What is known of a row before any activation.
struct RowFacts {
  float error = kLeastError, least = INFINITY, largest = -INFINITY;

  void add(float d, float squares) {
    error = std::max(error, std::sqrt(squares));
    // NaN stays once it is there: every bound of such a row is NaN, which excludes nothing.
    if (!std::isnan(least) && !(d >= least)) least = d;
    if (!std::isnan(largest) && !(d <= largest)) largest = d;
  }
  void write(uint8_t* high, int64_t r) const {
    high[r] = static_cast<uint8_t>(std::ceil(error * 4));  // at most 4 * 7.5 * sqrt(32)
    put_half(high + 16 + 2 * r, least);
    put_half(high + 48 + 2 * r, largest);
  }
};

}  // namespace

int64_t high_panel_bytes(int64_t k) noexcept {
  return kHighHeader + k / kBlock * kHighBlock;
}

void pack_planes(std::span<const std::byte> native, int64_t k, uint8_t* high, uint8_t* low) {
  const int64_t row_bytes = k / kBlock * kNativeBlock;
  const bool whole = std::ssize(native) == kPanelRows * row_bytes;
  const std::vector<std::byte> zeros(whole ? 0 : static_cast<size_t>(row_bytes));
  Rows blocks = rows_of(native, row_bytes, zeros.data());
  std::array<RowFacts, kPanelRows> facts;
  uint8_t* to = high + kHighHeader;
  for (int64_t b = 0; b < k / kBlock; ++b, to += kHighBlock) {
    pack_high_bits(blocks, to);
    for (size_t r = 0; r < kLanes; ++r) {
      const auto row = static_cast<int64_t>(r);
      const float squares = pack_low_bits(blocks[r] + 2, low + (row * k + b * kBlock) / 2);
      facts[r].add(half_at(to + 2 * row), squares);
      blocks[r] += kNativeBlock;
    }
  }
  for (int64_t r = 0; r < kPanelRows; ++r) facts[static_cast<size_t>(r)].write(high, r);
}

void unpack_planes_row(const uint8_t* high, const uint8_t* low, int64_t row, int64_t k,
                       float* out) noexcept {
  const uint8_t* block = high + kHighHeader;
  for (int64_t b = 0; b < k / kBlock; ++b, block += kHighBlock) {
    const uint8_t* bits = low + (row * k + b * kBlock) / 2;
    const float d = half_at(block + 2 * row);
    for (int64_t j = 0; j < kBlock; ++j) {
      const uint8_t upper = block[32 + place(row, j % 16)], lower = bits[j % 16];
      const int q = j < 16 ? (upper & 15) << 4 | (lower & 15) : (upper & 0xf0) | lower >> 4;
      out[b * kBlock + j] = d * static_cast<float>(q - 128);
    }
  }
}

PlanesColumn::PlanesColumn(int64_t k)
    : k_(k),
      rounding_(0x1p-9f * (static_cast<float>(k) / kBlock + 2)),
      blocks_(static_cast<size_t>(k / kBlock)),
      lanes_(static_cast<size_t>(2 * k)) {}

void PlanesColumn::set(const uint8_t* quantized) noexcept {
  total_ = 0;
  for (int64_t b = 0; b < k_ / kBlock; ++b, quantized += column_block_bytes(1)) {
    std::array<int8_t, kBlock> x;
    float scale;
    std::memcpy(x.data(), quantized, x.size());
    std::memcpy(&scale, quantized + kBlock, 4);
    int squares = 0, largest = 0;
    for (const int8_t value : x) {
      squares += value * value;
      largest = std::max(largest, std::abs(int{value}));
    }
    const float whole = std::sqrt(static_cast<float>(squares));
    const float rest = std::sqrt(static_cast<float>(squares - largest * largest));
    const float split = 7.5f / kLeastError * static_cast<float>(largest) + rest;
    const float part = kUp * std::abs(scale) * std::min(whole, split);
    blocks_[static_cast<size_t>(b)] = part;
    total_ += kUp * part;
    uint8_t* chunk = lanes_.data() + b / 4 * 256;
    const int64_t at = b % 4;
    std::memcpy(chunk + 16 * at, x.data(), 16);
    std::memcpy(chunk + 64 + 16 * at, x.data() + 16, 16);
    for (int64_t lane = 0; lane < 4; ++lane) {
      int sum = 0;
      for (int64_t j = 4 * lane; j < 4 * lane + 4; ++j)
        sum += x[static_cast<size_t>(j)] + x[static_cast<size_t>(j + 16)];
      const float middle = -7.5f * scale * static_cast<float>(sum);
      std::memcpy(chunk + 128 + 4 * (4 * at + lane), &scale, 4);
      std::memcpy(chunk + 192 + 4 * (4 * at + lane), &middle, 4);
    }
  }
}

float planes_limit(float y, const uint8_t* high, int64_t row, const float* sums,
                   const PlanesColumn& column) noexcept {
  const float least = half_at(high + 16 + 2 * row), largest = half_at(high + 48 + 2 * row);
  const float reach = std::max(std::abs(least), std::abs(largest)) * column.total();
  const float spread = 0.5f * (largest - least) * sums[1] * kUp;
  return y + 0.5f * (least + largest) * sums[0] + spread + column.rounding() * reach + 1e-30f;
}

}  // namespace cria::ml::cpu
