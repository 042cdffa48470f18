#include "ml/cpu/planes.h"

#include "ml/cpu/panels.h"
#include "quant/half.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace cria::ml::cpu {
namespace {

constexpr int64_t kHighBlock = 288, kJoinedBlock = 544;
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
  std::vector<uint8_t> joined(static_cast<size_t>(panel_bytes(PanelKind::kQ8_0, k)));
  pack_panel(PanelKind::kQ8_0, quant::DType::kQ8_0, native, k, joined.data());
  std::array<RowFacts, kPanelRows> facts;
  const uint8_t* from = joined.data();
  uint8_t* to = high + kHighHeader;
  for (int64_t b = 0; b < k / kBlock; ++b, from += kJoinedBlock, to += kHighBlock) {
    std::memcpy(to, from, 32);
    const uint8_t* q = from + 32;
    for (size_t i = 0; i < 256; ++i)
      to[32 + i] = static_cast<uint8_t>(q[i] >> 4 | (q[i + 256] & 0xf0));
    for (int64_t r = 0; r < kPanelRows; ++r) {
      uint8_t* row = low + (r * k + b * kBlock) / 2;
      float squares = 0;
      for (int64_t j = 0; j < kBlock; ++j) {
        const float e = static_cast<float>(q[place(r, j)] & 15) - 7.5f;
        squares += e * e;  // exact
        if (j < 16)
          row[j] = static_cast<uint8_t>((q[place(r, j)] & 15) | (q[place(r, j + 16)] & 15) << 4);
      }
      facts[static_cast<size_t>(r)].add(half_at(from + 2 * r), squares);
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
