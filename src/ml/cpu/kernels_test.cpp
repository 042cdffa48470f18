// Every kernel of every runnable variant against the scalar one, bit by bit, and panels against the
// block formats' own conversion.
#include "ml/cpu/kernels.h"
#include "ml/cpu/kv_store.h"
#include "ml/cpu/panels.h"
#include "quant/half.h"
#include "tests/skip.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

namespace cria::ml::cpu {
namespace {

using quant::DType;

std::vector<float> noise(int64_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = normal(random);
  return values;
}

constexpr DType kPacked[] = {
    DType::kF32,   DType::kF16,     DType::kBF16,   DType::kQ4_0,    DType::kQ4_1,
    DType::kQ5_0,  DType::kQ5_1,    DType::kQ8_0,   DType::kQ4_K,    DType::kQ5_K,
    DType::kQ6_K,  DType::kIQ4_NL,  DType::kIQ4_XS, DType::kMXFP4,   DType::kQ2_K,
    DType::kQ3_K,  DType::kTQ1_0,   DType::kTQ2_0,  DType::kIQ2_XXS, DType::kIQ2_XS,
    DType::kIQ2_S, DType::kIQ3_XXS, DType::kIQ3_S,  DType::kIQ1_S,   DType::kIQ1_M};

// Rows of random blocks whose scales are ordinary halves.
std::vector<std::byte> random_rows(DType dtype, int64_t rows, int64_t k, unsigned seed) {
  const quant::DTypeInfo& type = quant::info(dtype);
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(
      static_cast<size_t>(rows * k / type.block_elements * type.block_bytes));
  if (type.block_elements == 1) {
    const std::vector<float> values = noise(rows * k, seed);
    for (size_t i = 0; i < values.size(); ++i) {
      const uint16_t half = dtype == DType::kF16 ? quant::float_to_half(values[i])
                                                 : quant::float_to_bfloat(values[i]);
      if (dtype == DType::kF32)
        std::memcpy(bytes.data() + 4 * i, &values[i], 4);
      else
        std::memcpy(bytes.data() + 2 * i, &half, 2);
    }
    return bytes;
  }
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() & 255u);
  const auto put_half = [&](size_t at) {
    const uint16_t half = quant::float_to_half(0.01f + static_cast<float>(random() % 100) * 1e-3f);
    std::memcpy(bytes.data() + at, &half, 2);
  };
  for (size_t at = 0; at < bytes.size(); at += static_cast<size_t>(type.block_bytes)) {
    switch (dtype) {
      case DType::kMXFP4:
        bytes[at] = static_cast<std::byte>(120 + random() % 8);
        break;
      case DType::kQ4_1:
      case DType::kQ5_1:
      case DType::kQ4_K:
      case DType::kQ5_K:
        put_half(at + 2);
        [[fallthrough]];
      default:
        put_half(at);
        break;
      case DType::kQ2_K:
        put_half(at + 80);
        put_half(at + 82);
        break;
      case DType::kQ3_K:
      case DType::kQ6_K:
      case DType::kTQ1_0:
      case DType::kTQ2_0:
        put_half(at + static_cast<size_t>(type.block_bytes) - 2);
        break;
      case DType::kIQ1_M:  // the scale is spread over the top nibbles of four u16: here 2^-7
        for (size_t i = 0; i < 4; ++i) {
          std::byte& high = bytes[at + 49 + 2 * i];
          high = (high & std::byte{15}) | (i == 3 ? std::byte{0x20} : std::byte{0});
        }
        break;
    }
  }
  return bytes;
}

struct Packed {
  PanelKind kind;
  int64_t rows, k;
  std::vector<std::byte> native;
  std::vector<uint8_t> panels;
};

Packed pack(DType dtype, int64_t rows, int64_t k) {
  Packed p = {
      .kind = *panel_kind(dtype), .rows = rows, .k = k, .native = random_rows(dtype, rows, k, 7)};
  const int64_t row_bytes = *quant::row_bytes(dtype, k), bytes = panel_bytes(p.kind, k);
  const int64_t count = (rows + kPanelRows - 1) / kPanelRows;
  p.panels.resize(static_cast<size_t>(count * bytes + 64));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t here = std::min(kPanelRows, rows - i * kPanelRows);
    pack_panel(p.kind, dtype,
               std::span(p.native).subspan(static_cast<size_t>(i * kPanelRows * row_bytes),
                                           static_cast<size_t>(here * row_bytes)),
               k, p.panels.data() + i * bytes);
  }
  return p;
}

// To the nearest number of 8 binary digits, to an even last one when two are as near.
double rounded_to_bf16(double x) {
  int exponent = 0;
  const double fraction = std::frexp(x, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8);
}

// x, {k, columns}, in groups.
std::vector<uint8_t> quantize(const Kernels& kernels, const std::vector<float>& x, int64_t k,
                              int64_t columns) {
  std::vector<uint8_t> out(static_cast<size_t>(quantized_bytes(columns + kGroup, k)));
  for (int64_t c = 0; c < columns; ++c)
    kernels.quantize(x.data() + c * k, k, out.data() + c / kGroup * quantized_bytes(kGroup, k),
                     std::min(kGroup, columns - c / kGroup * kGroup), c % kGroup);
  return out;
}

std::vector<float> multiply(const Kernels& kernels, const Packed& w, const std::vector<float>& x,
                            int64_t columns) {
  const bool floats = takes_floats(w.kind);
  std::vector<uint8_t> quantized;
  if (!floats) quantized = quantize(kernels, x, w.k, columns);
  std::vector<float> y(static_cast<size_t>(columns * w.rows), -1.0f);
  kernels.matmul[static_cast<size_t>(w.kind)](
      {.panels = w.panels.data(),
       .panel_bytes = panel_bytes(w.kind, w.k),
       .first_panel = 0,
       .last_panel = (w.rows + kPanelRows - 1) / kPanelRows,
       .rows = w.rows,
       .k = w.k,
       .x = floats ? static_cast<const void*>(x.data()) : quantized.data(),
       .x_stride = w.k,
       .columns = columns,
       .y = y.data(),
       .y_stride = w.rows});
  return y;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template <class Body>
void for_each_variant(Body body) {
  const KernelList list = runnable_kernels();
  if (list.size == 1) test::skip("this CPU runs the scalar kernels only");
  for (int i = 1; i < list.size; ++i) {
    CAPTURE(std::string(list.items[i]->name));
    body(*list.items[0], *list.items[i]);
  }
}

TEST_CASE("a panel keeps every row of every format") {
  for (const DType dtype : kPacked) {
    CAPTURE(std::string(quant::info(dtype).name));
    const Packed w = pack(dtype, 19, 512);
    std::vector<float> want(512), got(512);
    for (int64_t row = 0; row < w.rows; ++row) {
      quant::info(dtype).dequantize(w.native.data() + row * *quant::row_bytes(dtype, w.k),
                                    want.data(), w.k);
      unpack_row(w.kind, w.panels.data() + row / kPanelRows * panel_bytes(w.kind, w.k),
                 row % kPanelRows, w.k, got.data());
      CHECK(same_bits(got, want));
    }
  }
}

TEST_CASE(
    "matmul is near the exact product and the same in every variant, alone or among columns") {
  for (const DType dtype : kPacked) {
    CAPTURE(std::string(quant::info(dtype).name));
    // Three panels, or four whose last is not whole, since kernels take one or two at once; where
    // k may be any number, one that is odd and does not fill vectors.
    const bool plain = takes_floats(*panel_kind(dtype));
    const bool pairs = plain || dtype == DType::kQ4_K || dtype == DType::kQ6_K;
    const int64_t most = plain ? 97 : 35;
    const Packed w = pack(dtype, pairs ? 59 : 37, plain ? 515 : 512);
    const std::vector<float> x = noise(most * w.k, 3);
    const Kernels& scalar = *runnable_kernels().items[0];
    const std::vector<float> all = multiply(scalar, w, x, most);
    std::vector<float> row(static_cast<size_t>(w.k));
    for (int64_t r = 0; r < w.rows; ++r) {
      quant::info(dtype).dequantize(w.native.data() + r * *quant::row_bytes(dtype, w.k), row.data(),
                                    w.k);
      double exact = 0, magnitude = 0;
      for (size_t i = 0; i < row.size(); ++i) {
        exact += double(row[i]) * (w.kind == PanelKind::kBF16 ? rounded_to_bf16(x[i]) : x[i]);
        magnitude += double(row[i]) * row[i];
      }
      // Rounding activations to 1/254 of a block's largest adds noise of about 0.8 % a term.
      const double tolerance = (takes_floats(w.kind) ? 1e-4 : 0.05) * std::sqrt(magnitude) + 1e-5;
      CHECK(std::abs(all[static_cast<size_t>(r)] - exact) <= tolerance);
    }
    for (const int64_t columns : {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 18, 24, 35, 49, 97}) {
      if (columns > most) continue;
      CAPTURE(columns);
      const std::vector<float> some = multiply(scalar, w, x, columns);
      CHECK(std::memcmp(some.data(), all.data(), some.size() * 4) == 0);
      for_each_variant([&](const Kernels&, const Kernels& fast) {
        CHECK(same_bits(multiply(fast, w, x, columns), some));
      });
    }
  }
}

TEST_CASE("matmul keeps to its panels, whatever lies between rows of activations and results") {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_K, DType::kQ6_K}) {
    CAPTURE(std::string(quant::info(dtype).name));
    constexpr int64_t kColumns = 20, kPad = 3;
    constexpr float kUntouched = 7;
    const Packed w = pack(dtype, 59, 512);
    const std::vector<float> x = noise(kColumns * w.k, 3);
    const Kernels& scalar = *runnable_kernels().items[0];
    const std::vector<float> all = multiply(scalar, w, x, kColumns);
    const std::vector<uint8_t> quantized = quantize(scalar, x, w.k, kColumns);
    std::vector<float> padded(static_cast<size_t>(kColumns * (w.k + kPad)), 1e9f);
    for (int64_t c = 0; c < kColumns; ++c)
      std::copy_n(x.begin() + c * w.k, w.k, padded.begin() + c * (w.k + kPad));
    const auto keeps_to = [&](const Kernels& table, int64_t first, int64_t last) {
      const int64_t stride = w.rows + kPad;
      std::vector<float> y(static_cast<size_t>(kColumns * stride), kUntouched);
      MatmulArgs args = {.panels = w.panels.data(),
                         .panel_bytes = panel_bytes(w.kind, w.k),
                         .first_panel = first,
                         .last_panel = last,
                         .rows = w.rows,
                         .k = w.k,
                         .x = quantized.data(),
                         .x_stride = w.k + kPad,
                         .columns = kColumns,
                         .y = y.data(),
                         .y_stride = stride};
      if (takes_floats(w.kind)) args.x = padded.data();
      table.matmul[static_cast<size_t>(w.kind)](args);
      bool right = true;
      for (int64_t i = 0; i < kColumns * stride; ++i) {
        const int64_t c = i / stride, r = i % stride;
        const bool own = r >= first * kPanelRows && r < std::min(last * kPanelRows, w.rows);
        right &= y[static_cast<size_t>(i)] ==
                 (own ? all[static_cast<size_t>(c * w.rows + r)] : kUntouched);
      }
      return right;
    };
    for (int i = 0; i < runnable_kernels().size; ++i) {
      const Kernels& table = *runnable_kernels().items[i];
      CAPTURE(std::string(table.name));
      CHECK(keeps_to(table, 1, 3));
      CHECK(keeps_to(table, 1, 4));
      CHECK(keeps_to(table, 2, 3));
      CHECK(keeps_to(table, 0, 1));
    }
  }
}

TEST_CASE("activations of BF16 weights are rounded to nearest, ties to even") {
  constexpr int64_t kWidth = 32;
  Packed w = {.kind = PanelKind::kBF16, .rows = 1, .k = kWidth, .native = {}, .panels = {}};
  w.native.resize(kWidth * 2);
  const uint16_t one = quant::float_to_bfloat(1);
  std::memcpy(w.native.data(), &one, 2);
  w.panels.resize(static_cast<size_t>(panel_bytes(w.kind, kWidth) + 64));
  pack_panel(w.kind, DType::kBF16, w.native, kWidth, w.panels.data());
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<std::pair<float, float>> cases = {
      {1.00390625f, 1.0f},       // 1 + 2^-8, half-way
      {1.01171875f, 1.015625f},  // 1 + 3 * 2^-8, half-way
      {1.00390637f, 1.0078125f}, {-1.00390625f, -1.0f},  {3.4e38f, infinity},
      {-infinity, -infinity},    {0x1p-126f, 0x1p-126f}, {1e-39f, 0.0f}};
  for (int i = 0; i < runnable_kernels().size; ++i) {
    const Kernels& table = *runnable_kernels().items[i];
    CAPTURE(std::string(table.name));
    const auto product = [&](float value) {
      std::vector<float> x(kWidth);
      x[0] = value;
      return multiply(table, w, x, 1)[0];
    };
    for (const auto& [value, rounded] : cases) {
      CAPTURE(value);
      CHECK(product(value) == rounded);
    }
    // The NaN of which rounding could make an infinity.
    CHECK(std::isnan(product(std::bit_cast<float>(0x7f800001u))));
  }
}

TEST_CASE("row kernels are the same in every variant, for every length") {
  for_each_variant([](const Kernels& scalar, const Kernels& fast) {
    for (const int64_t n : {1, 7, 15, 16, 17, 33, 64, 127, 576}) {
      CAPTURE(n);
      std::vector<float> a = noise(n, 1), b = noise(n, 2);
      a[0] = 200.0f;  // beyond what exp takes
      if (n > 1) a[1] = -200.0f;
      const auto both = [&](auto call) {
        std::vector<float> x(a.size()), y(a.size());
        call(scalar, x.data());
        call(fast, y.data());
        CHECK(same_bits(x, y));
      };
      both([&](const Kernels& k, float* y) { k.rms_norm(y, a.data(), b.data(), n, 1e-5f); });
      both([&](const Kernels& k, float* y) { k.layer_norm(y, a.data(), n, 1e-5f); });
      both([&](const Kernels& k, float* y) { k.add(y, a.data(), b.data(), n); });
      both([&](const Kernels& k, float* y) { k.mul(y, a.data(), b.data(), n); });
      both([&](const Kernels& k, float* y) { k.scale(y, a.data(), 0.3f, n); });
      both([&](const Kernels& k, float* y) { k.silu(y, a.data(), n); });
      both([&](const Kernels& k, float* y) { k.gelu(y, a.data(), n); });
      both([&](const Kernels& k, float* y) { k.gelu_erf(y, a.data(), n); });
      both([&](const Kernels& k, float* y) { k.softcap(y, a.data(), 30.0f, n); });
      std::vector<uint16_t> x(a.size()), y(a.size());
      scalar.to_half(x.data(), a.data(), n);
      fast.to_half(y.data(), a.data(), n);
      CHECK(same_bits(x, y));
    }
  });
}

TEST_CASE("silu and gelu match their definitions") {
  const KernelList list = runnable_kernels();
  for (int v = 0; v < list.size; ++v) {
    const std::vector<float> x = noise(100, 5);
    std::vector<float> silu(x.size()), gelu(x.size());
    list.items[v]->silu(silu.data(), x.data(), 100);
    list.items[v]->gelu(gelu.data(), x.data(), 100);
    for (size_t i = 0; i < x.size(); ++i) {
      const double t = x[i];
      CHECK(silu[i] == doctest::Approx(t / (1 + std::exp(-t))).epsilon(1e-5));
      const double inner = std::sqrt(2 / M_PI) * (t + 0.044715 * t * t * t);
      CHECK(std::abs(gelu[i] - 0.5 * t * (1 + std::tanh(inner))) < 2e-6);
    }
  }
}

TEST_CASE("gelu_erf is exact to a few units of 1e-7, from one tail to the other") {
  std::vector<float> x, y(241);
  for (int i = -120; i <= 120; ++i) x.push_back(static_cast<float>(i) / 12);
  const KernelList list = runnable_kernels();
  for (int v = 0; v < list.size; ++v) {
    list.items[v]->gelu_erf(y.data(), x.data(), std::ssize(x));
    for (size_t i = 0; i < x.size(); ++i) {
      CAPTURE(x[i]);
      const double t = x[i], wanted = 0.5 * t * std::erfc(-t / std::sqrt(2.0));
      CHECK(std::abs(y[i] - wanted) < 3e-7 * std::max(1.0, std::abs(t)));
    }
  }
}

TEST_CASE("layer_norm keeps its precision far from zero") {
  // 1000, 1001, ...: the variance of n consecutive numbers is (n^2 - 1) / 12.
  for (const int64_t n : {1, 2, 15, 16, 33, 384}) {
    CAPTURE(n);
    std::vector<float> x(static_cast<size_t>(n)), y(x.size());
    std::iota(x.begin(), x.end(), 1000.0f);
    const auto m = static_cast<double>(n);
    const double deviation = std::sqrt((m * m - 1) / 12 + 1e-5);
    const KernelList list = runnable_kernels();
    for (int v = 0; v < list.size; ++v) {
      list.items[v]->layer_norm(y.data(), x.data(), n, 1e-5f);
      for (size_t i = 0; i < y.size(); ++i)
        CHECK(std::abs(y[i] - (static_cast<double>(i) - (m - 1) / 2) / deviation) < 1e-3);
    }
  }
}

// One head of random keys and values, in pages of `store`.
void fill(const CpuKvStore& store, int64_t positions) {
  const KvLayerLayout& shape = store.layer(0);
  for (int64_t p = 0; p < positions; ++p) {
    const std::vector<float> row =
        noise(shape.key_dim + shape.value_dim, static_cast<unsigned>(100 + p));
    store.write(store.head(0, static_cast<int32_t>(p / kPageTokens), 0), shape, p % kPageTokens,
                {.key = row.data(), .value = row.data() + shape.key_dim});
  }
}

struct AttentionCase {
  DType dtype;
  int64_t key_dim, value_dim, window;
};

// Queries `first` to `first + count` of kAttentionQueries that end at position `end`: their sums,
// maxima and totals.
std::vector<std::vector<float>> attend(const Kernels& kernels, const AttentionCase& c, int64_t end,
                                       int64_t first, int64_t count) {
  const int64_t pages = (end + kPageTokens - 1) / kPageTokens;
  const KvLayerLayout layer = {.kv_heads = 1, .key_dim = c.key_dim, .value_dim = c.value_dim};
  const CpuKvStore store({.layers = {layer}, .dtype = c.dtype}, pages, kernels);
  fill(store, end);
  std::vector<const uint8_t*> heads;
  for (int32_t page = 0; page < pages; ++page) heads.push_back(store.head(0, page, 0));
  const int64_t key_width = (c.key_dim + 31) / 32 * 32, width = (c.value_dim + 15) / 16 * 16;
  std::vector<std::vector<float>> queries, out;
  for (int64_t i = first; i < first + count; ++i) {
    queries.push_back(noise(c.key_dim, static_cast<unsigned>(9 + i)));
    queries.back().resize(static_cast<size_t>(key_width));
    out.emplace_back(static_cast<size_t>(width));
  }
  std::vector<const float*> query_rows;
  std::vector<int64_t> last;
  std::vector<float*> out_rows;
  for (size_t i = 0; i < queries.size(); ++i) {
    query_rows.push_back(queries[i].data());
    last.push_back(end - kAttentionQueries + first + static_cast<int64_t>(i));
    out_rows.push_back(out[i].data());
  }
  std::vector<float> maximum(queries.size()), total(queries.size()),
      scratch(static_cast<size_t>(count * kAttentionBlock));
  std::vector<uint8_t> quantized(static_cast<size_t>(quantized_bytes(count, key_width)));
  store.attend({.queries = query_rows.data(),
                .last = last.data(),
                .count = count,
                .key_dim = c.key_dim,
                .value_dim = c.value_dim,
                .first_position = 0,
                .end_position = last.back() + 1,
                .window = c.window,
                .softcap = 0,
                .pages = heads.data(),
                .out = out_rows.data(),
                .maximum = maximum.data(),
                .total = total.data(),
                .scratch = scratch.data(),
                .quantized = quantized.data()});
  for (size_t i = 0; i < out.size(); ++i) {
    out[i].resize(static_cast<size_t>(c.value_dim));
    out[i].push_back(maximum[i]);
    out[i].push_back(total[i]);
  }
  return out;
}

TEST_CASE("attention is the same in every variant and for a query alone or among others") {
  const Kernels& scalar = *runnable_kernels().items[0];
  for (const AttentionCase& c :
       {AttentionCase{DType::kF16, 64, 64, 0}, AttentionCase{DType::kF16, 64, 48, 20},
        AttentionCase{DType::kF32, 48, 80, 0}, AttentionCase{DType::kQ8_0, 64, 64, 0},
        AttentionCase{DType::kQ8_0, 80, 40, 150}, AttentionCase{DType::kQ8_0, 16, 112, 0}})
    for (const int64_t end : {19, 75, 128, 129, 300}) {
      CAPTURE(std::string(quant::info(c.dtype).name));
      CAPTURE(end);
      const auto all = attend(scalar, c, end, 0, kAttentionQueries);
      for_each_variant([&](const Kernels&, const Kernels& fast) {
        CHECK(attend(fast, c, end, 0, kAttentionQueries) == all);
        for (const int64_t count : {1, 2, 3, 4, 5, 6, 7, 9}) {
          CAPTURE(count);
          const auto some = attend(fast, c, end, 3, count);
          for (size_t i = 0; i < some.size(); ++i) CHECK(same_bits(some[i], all[3 + i]));
        }
      });
    }
}

}  // namespace
}  // namespace cria::ml::cpu
