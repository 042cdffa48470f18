// packing.cpp - what packing weights costs at load: one core, from the second cache, as a multiple
// of the time that copying the same bytes takes there. Without arguments.
#include "measure.h"
#include "ml/cpu/panels.h"
#include "ml/cpu/planes.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

namespace cria {
namespace {

using ml::cpu::kPanelRows;
using quant::DType;

constexpr int64_t kLength = 2048;  // k of the weight

double median_seconds(const std::function<void()>& body) {
  std::vector<double> times;
  for (int run = 0; run < 15; ++run) {
    const double start = seconds_now();
    for (int i = 0; i < 50; ++i) body();
    times.push_back((seconds_now() - start) / 50);
  }
  return median(times);
}

void measure(std::string_view name, DType type, bool planes) {
  const auto kind = ml::cpu::panel_kind(type).value();
  const auto bytes = static_cast<size_t>(quant::row_bytes(type, kLength).value() * kPanelRows);
  std::vector<std::byte> native(bytes), copy(bytes);
  std::mt19937 random(1);
  for (std::byte& x : native) x = static_cast<std::byte>(random() & 0x7b);  // no NaN among scales
  const auto size = static_cast<size_t>(
      std::max(ml::cpu::panel_bytes(kind, kLength), ml::cpu::high_panel_bytes(kLength)));
  std::vector<uint8_t> packed(size), low(static_cast<size_t>(kPanelRows * kLength / 2));
  const double packing = median_seconds([&] {
    if (planes)
      ml::cpu::pack_planes(native, kLength, packed.data(), low.data());
    else
      ml::cpu::pack_panel(kind, type, native, kLength, packed.data());
  });
  const double copying = median_seconds([&] {
    std::memcpy(copy.data(), native.data(), bytes);
    __asm__ volatile("" : : "r"(copy.data()) : "memory");
  });
  fmt::print("{:14} {:6.0f} ps a weight {:6.1f} x copying\n", name,
             packing * 1e12 / (kPanelRows * kLength), packing / copying);
}

}  // namespace
}  // namespace cria

int main() {
  using cria::quant::DType;
  constexpr std::array kTypes = {
      DType::kF32,   DType::kF16,     DType::kBF16,  DType::kQ4_0,  DType::kQ5_0, DType::kQ8_0,
      DType::kQ2_K,  DType::kQ3_K,    DType::kQ4_K,  DType::kQ5_K,  DType::kQ6_K, DType::kIQ4_XS,
      DType::kMXFP4, DType::kIQ2_XXS, DType::kIQ3_S, DType::kTQ1_0, DType::kTQ2_0};
  for (const DType type : kTypes) cria::measure(cria::quant::info(type).name, type, false);
  cria::measure("Q8_0, a head", DType::kQ8_0, true);
}
