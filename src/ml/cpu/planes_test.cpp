// A head in two planes against one plane: the same weights, the same bits, and bounds that hold for
// the worst numbers.
#include "ml/cpu/planes.h"
#include "ml/cpu/panels.h"
#include "quant/dtype.h"
#include "quant/half.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <random>

namespace cria::ml::cpu {
namespace {

constexpr int64_t kWidth = 640;
constexpr int64_t kRowBytes = kWidth / 32 * 34;

// One panel of rows of kQ8_0, in one plane and in two.
struct Panel {
  std::vector<std::byte> native;
  std::vector<uint8_t> joined, high, low;

  // quant(row, i) in -128..127, scale(row, block).
  Panel(int64_t rows, const std::function<int(int64_t, int64_t)>& quant,
        const std::function<float(int64_t, int64_t)>& scale)
      : native(static_cast<size_t>(rows * kRowBytes)),
        joined(static_cast<size_t>(panel_bytes(PanelKind::kQ8_0, kWidth) + 64)),
        high(static_cast<size_t>(high_panel_bytes(kWidth) + 64)),
        low(16 * kWidth / 2 + 64) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t b = 0; b < kWidth / 32; ++b) {
        std::byte* block = native.data() + r * kRowBytes + b * 34;
        const uint16_t half = quant::float_to_half(scale(r, b));
        std::memcpy(block, &half, 2);
        for (int64_t j = 0; j < 32; ++j)
          block[2 + j] = static_cast<std::byte>(static_cast<uint8_t>(quant(r, b * 32 + j)));
      }
    pack_panel(PanelKind::kQ8_0, quant::DType::kQ8_0, native, kWidth, joined.data());
    pack_planes(native, kWidth, high.data(), low.data());
  }
};

struct Random {
  std::mt19937 state{7};
  int quant() { return static_cast<int>(state() % 256) - 128; }
  float normal() { return std::normal_distribution<float>()(state); }
};

Panel random_panel(int64_t rows) {
  Random random;
  return {rows, [&](int64_t, int64_t) { return random.quant(); },
          [&](int64_t, int64_t) { return 0.01f * random.normal(); }};  // some negative
}

template <class Body>
void for_each_table(const Body& body) {
  const KernelList list = runnable_kernels();
  for (int i = 0; i < list.size; ++i) {
    CAPTURE(std::string(list.items[i]->name));
    body(*list.items[i]);
  }
}

TEST_CASE("two planes keep every row, and joined are the panel of one plane") {
  for (const int64_t rows : {int64_t{1}, int64_t{13}, int64_t{16}}) {
    const Panel panel = random_panel(rows);
    std::vector<float> want(kWidth), got(kWidth);
    for (int64_t r = 0; r < rows; ++r) {
      quant::info(quant::DType::kQ8_0)
          .dequantize(panel.native.data() + r * kRowBytes, want.data(), kWidth);
      unpack_planes_row(panel.high.data(), panel.low.data(), r, kWidth, got.data());
      CHECK(got == want);
    }
    for_each_table([&](const Kernels& kernels) {
      std::vector<uint8_t> joined(panel.joined.size());
      kernels.join_planes(panel.high.data(), panel.low.data(), kWidth, joined.data());
      CHECK(joined == panel.joined);
    });
  }
}

// All that a table computes of a panel and an activation; `full` is of one plane, `joined` of two.
struct Products {
  std::array<float, 16> y, slack, full, joined;
  std::array<std::array<float, 2>, 16> sums;
  std::array<float, 16> limit;
};

Products multiply(const Kernels& kernels, const Panel& panel, const std::vector<float>& x) {
  std::vector<uint8_t> quantized(static_cast<size_t>(quantized_bytes(1, kWidth)));
  kernels.quantize(x.data(), kWidth, quantized.data(), 1, 0);
  PlanesColumn column(kWidth);
  column.set(quantized.data());
  Products out;
  PlanesArgs args = {.panels = panel.high.data(),
                     .panel_bytes = high_panel_bytes(kWidth),
                     .low = panel.low.data(),
                     .first_panel = 0,
                     .last_panel = 1,
                     .rows = 16,
                     .k = kWidth,
                     .x = quantized.data(),
                     .y = out.y.data(),
                     .blocks = column.blocks(),
                     .rounding = column.rounding(),
                     .slack = out.slack.data()};
  kernels.bound_planes(args);
  args.y = out.joined.data();
  kernels.multiply_planes(args);
  kernels.matmul[static_cast<size_t>(PanelKind::kQ8_0)]({.panels = panel.joined.data(),
                                                         .panel_bytes = 0,
                                                         .first_panel = 0,
                                                         .last_panel = 1,
                                                         .rows = 16,
                                                         .k = kWidth,
                                                         .x = quantized.data(),
                                                         .x_stride = 0,
                                                         .columns = 1,
                                                         .y = out.full.data(),
                                                         .y_stride = 16});
  for (size_t r = 0; r < 16; ++r) {
    const auto row = static_cast<int64_t>(r);
    kernels.sum_low_bits(panel.low.data() + row * kWidth / 2, kWidth, column.lanes(),
                         out.sums[r].data());
    out.limit[r] = planes_limit(out.y[r], panel.high.data(), row, out.sums[r].data(), column);
  }
  return out;
}

void check_bounds(const Panel& panel, const std::vector<float>& x) {
  const Products scalar = multiply(*runnable_kernels().items[0], panel, x);
  for (size_t r = 0; r < 16; ++r) {
    CAPTURE(r);
    CHECK(std::abs(scalar.full[r] - scalar.y[r]) <= scalar.slack[r]);
    CHECK(scalar.full[r] <= scalar.limit[r]);
    CHECK(scalar.joined[r] == scalar.full[r]);
  }
  for_each_table([&](const Kernels& kernels) {
    const Products other = multiply(kernels, panel, x);
    CHECK(std::memcmp(&other, &scalar, sizeof scalar) == 0);
  });
}

TEST_CASE("no product is beyond its bounds, and every variant has the same ones") {
  Random random;
  for (int round = 0; round < 20; ++round) {
    std::vector<float> x(kWidth);
    for (float& value : x) value = random.normal();
    if (round % 3 == 1) x[static_cast<size_t>(round)] = 40.0f;  // as models have them
    if (round % 3 == 2)
      for (size_t i = 0; i < x.size(); ++i) x[i] = i / 32 == 3 ? x[i] : 1e-4f * x[i];
    check_bounds(random_panel(16), x);
    // The low bits that are worst for this activation: all at their extreme, on its side. Rows
    // alternate the sign; odd ones have scales that differ much.
    const auto worst = [&](int64_t r, int64_t i) {
      const bool up = (x[static_cast<size_t>(i)] > 0) == (r % 2 == 0);
      return 16 * (static_cast<int>(random.state() % 16) - 8) + (up ? 15 : 0);
    };
    check_bounds({16, worst, [](int64_t, int64_t) { return 0.01f; }}, x);
    check_bounds({16, worst,
                  [](int64_t r, int64_t b) {
                    return r % 4 < 2 ? 0.01f : 0.001f * static_cast<float>(1 + b);
                  }},
                 x);
  }
}

TEST_CASE("the bounds narrow down: typically to a quarter of the slack before the low bits") {
  const Panel panel = {16, [random = Random()](int64_t, int64_t) mutable { return random.quant(); },
                       [](int64_t, int64_t b) { return 0.01f + 0.0002f * static_cast<float>(b); }};
  Random random;
  std::vector<float> x(kWidth);
  for (float& value : x) value = random.normal();
  const Products products = multiply(*runnable_kernels().items[0], panel, x);
  for (size_t r = 0; r < 16; ++r)
    CHECK(products.limit[r] - products.full[r] < 0.25f * products.slack[r]);
}

TEST_CASE("what is not a number excludes no row") {
  const auto quant = [](int64_t, int64_t i) { return static_cast<int>(i % 256) - 128; };
  const std::vector<float> ones(kWidth, 1.0f);
  for (const float odd : {NAN, INFINITY, -INFINITY}) {
    for_each_table([&](const Kernels& kernels) {
      std::vector<float> x = ones;
      x[77] = odd;
      const Panel plain = {16, quant, [](int64_t, int64_t) { return 0.01f; }};
      const Panel broken = {16, quant, [&](int64_t, int64_t b) { return b == 5 ? odd : 0.01f; }};
      for (const Products& products :
           {multiply(kernels, plain, x), multiply(kernels, broken, ones)})
        for (size_t r = 0; r < 16; ++r) {
          CHECK_FALSE(products.y[r] + products.slack[r] < 1e30f);
          CHECK_FALSE(products.limit[r] < 1e30f);
        }
    });
  }
}

}  // namespace
}  // namespace cria::ml::cpu
