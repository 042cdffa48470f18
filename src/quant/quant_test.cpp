// Blocks against ../shared/data/quants, which an independent library wrote.
#include "quant/dtype.h"

#include "base/file.h"
#include "base/sha256.h"
#include "quant/iq_grids.h"
#include "tests/skip.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

namespace cria::quant {
namespace {

const fs::path kFolder = fs::path(CRIA_SHARED_DIR) / "data/quants";

std::vector<float> floats(const fs::path& path) {
  const std::string raw = read_text_file(path, 1 << 20);
  std::vector<float> values(raw.size() / 4);
  std::memcpy(values.data(), raw.data(), raw.size());
  return values;
}

TEST_CASE("dequantising gives the reference's bits for every format") {
  if (!fs::exists(kFolder)) {
    test::skip("no shared data at " + kFolder.string());
    return;
  }
  int cases = 0;
  for (const DTypeInfo& type : all_dtypes()) {
    for (const std::string suffix : {"", ".rand"}) {
      const fs::path base = kFolder / (std::string(type.name) + suffix);
      if (type.dequantize == nullptr || !fs::exists(base.string() + ".bin")) continue;
      CAPTURE(base.string());
      const std::string blocks = read_text_file(base.string() + ".bin", 1 << 20);
      const std::vector<float> want = floats(base.string() + ".f32");
      std::vector<float> got(want.size());
      REQUIRE(row_bytes(type.dtype, static_cast<int64_t>(want.size())) ==
              static_cast<int64_t>(blocks.size()));
      type.dequantize(reinterpret_cast<const std::byte*>(blocks.data()), got.data(),
                      static_cast<int64_t>(got.size()));
      CHECK(std::memcmp(got.data(), want.data(), got.size() * 4) == 0);
      ++cases;
    }
  }
  CHECK(cases >= 32);
}

TEST_CASE("every format of the reference data has a row in the table") {
  if (!fs::exists(kFolder)) {
    test::skip("no shared data at " + kFolder.string());
    return;
  }
  for (const auto& entry : fs::directory_iterator(kFolder)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".bin")) continue;
    const DTypeInfo* row = find_dtype(name.substr(0, name.find('.')));
    CAPTURE(name);
    REQUIRE(row != nullptr);
    CHECK((row->dequantize != nullptr));
  }
}

TEST_CASE("quantising gives the reference's bytes wherever it has some") {
  if (!fs::exists(kFolder)) {
    test::skip("no shared data at " + kFolder.string());
    return;
  }
  int cases = 0;
  for (const DTypeInfo& type : all_dtypes()) {
    const std::string base = (kFolder / type.name).string();
    if (!fs::exists(base + ".src.f32")) continue;
    CAPTURE(base);
    REQUIRE((type.quantize != nullptr));
    const std::vector<float> source = floats(base + ".src.f32");
    const std::string want = read_text_file(base + ".bin", 1 << 20);
    std::string got(want.size(), '\0');
    type.quantize(source.data(), reinterpret_cast<std::byte*>(got.data()),
                  static_cast<int64_t>(source.size()));
    CHECK((got == want));
    ++cases;
  }
  CHECK(cases >= 10);
}

std::string hash_of(std::span<const uint16_t> rows, int values, int (*value)(uint16_t, int)) {
  std::vector<std::byte> bytes;
  for (const uint16_t row : rows)
    for (int j = 0; j < values; ++j) bytes.push_back(static_cast<std::byte>(value(row, j)));
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

TEST_CASE("the codebooks are the published ones") {
  CHECK(hash_of(kGridIq2Xxs, 8, iq2_value) ==
        "05826b5d3e472a3a78f196be62ac78acf81df0f909626e12ab9fa2a5d490dd54");
  CHECK(hash_of(kGridIq2Xs, 8, iq2_value) ==
        "06e47aaca60b4dc1d9b5a3f34540437058a6b142b4d7a59d5ded769b4d1bf1de");
  CHECK(hash_of(kGridIq2S, 8, iq2_value) ==
        "e1aa1473412b0552c2174c30ef22ab4073f6a181b85a17056e8249bd2932fd88");
  CHECK(hash_of(kGridIq3Xxs, 4, iq3_xxs_value) ==
        "46e35f5a997efdee6c99ce57854c8a0d4f0ff8ca57e5e8a60c0793ea580acf5d");
  CHECK(hash_of(kGridIq3S, 4, iq3_s_value) ==
        "bd1af4945a1717c65610b0284e4628b9a1ba3b306fae3a06f6e5f597356e349f");
  CHECK(hash_of(kGridIq1S, 8, iq1_value) ==
        "07540ffc1aeaf6ad4d97e96b0fcc765aae39671d4ae4a27bbd0e796fde167c6a");
}

// A repeatable bell curve: the sum of twelve uniform numbers has variance 1.
std::vector<float> noise(size_t count) {
  std::vector<float> values(count);
  uint32_t state = 12345;
  for (float& value : values) {
    int64_t sum = 0;
    for (int i = 0; i < 12; ++i) {
      state = state * 1664525u + 1013904223u;
      sum += state >> 16;
    }
    value = static_cast<float>(sum - 6 * 65535) / 65536.0f;
  }
  return values;
}

double error_after(const DTypeInfo& type, const std::vector<float>& values) {
  const auto count = static_cast<int64_t>(values.size());
  std::vector<std::byte> blocks(static_cast<size_t>(*row_bytes(type.dtype, count)));
  type.quantize(values.data(), blocks.data(), count);
  std::vector<float> back(values.size());
  type.dequantize(blocks.data(), back.data(), count);
  double squares = 0;
  for (size_t i = 0; i < values.size(); ++i)
    squares += (back[i] - values[i]) * (back[i] - values[i]);
  return std::sqrt(squares / static_cast<double>(count));
}

TEST_CASE("the K formats lose no more of a bell curve than the reference library's blocks") {
  struct Case {
    DType dtype;
    double reference;  // error of ggml 0.20.2 on the same values, without importance weights
  };
  constexpr std::array kCases = {Case{DType::kQ2_K, 0.2962139}, Case{DType::kQ3_K, 0.1506141},
                                 Case{DType::kQ4_K, 0.0708959}, Case{DType::kQ5_K, 0.0361447},
                                 Case{DType::kQ6_K, 0.0178084}};
  const std::vector<float> values = noise(64 * 256);
  for (const Case& c : kCases) {
    CAPTURE(info(c.dtype).name);
    CHECK(error_after(info(c.dtype), values) <= c.reference * 1.0001);
  }
}

TEST_CASE("every quantiser survives zeros, infinities, NaN and tiny numbers") {
  const float kOdd[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-45f, 3e38f, -3e38f, 1e-20f, 1.0f};
  for (const DTypeInfo& type : all_dtypes()) {
    if (type.quantize == nullptr || type.block_elements == 1) continue;
    CAPTURE(type.name);
    for (const float odd : kOdd) {
      std::vector<float> values(256, odd);
      error_after(type, values);
      for (size_t i = 0; i < values.size(); i += 3) values[i] = kOdd[i % 10];
      error_after(type, values);
    }
    CHECK(error_after(type, std::vector<float>(256, 0.0f)) == 0);
    CHECK(error_after(type, std::vector<float>(256, 0.5f)) < 0.05);
  }
}

TEST_CASE("formats without reference data decode as their definitions say") {
  std::byte block[18] = {std::byte{0x00}, std::byte{0x38}, std::byte{0x05}, std::byte{0xe4}};
  float out[128];  // d is the half 0.5
  info(DType::kQ1_0).dequantize(block, out, 128);
  CHECK(std::vector<float>(out, out + 4) == std::vector<float>{0.5f, -0.5f, 0.5f, -0.5f});
  CHECK(out[127] == -0.5f);
  info(DType::kQ2_0).dequantize(block, out, 64);
  CHECK(std::vector<float>(out + 4, out + 8) == std::vector<float>{-0.5f, 0.0f, 0.5f, 1.0f});
  std::byte early[17] = {std::byte{128}, std::byte{0xf1}};  // scale 1 for doubled values
  info(DType::kMXFP4Early).dequantize(early, out, 32);
  CHECK(out[0] == 1.0f);
  CHECK(out[1] == -12.0f);
  CHECK(out[2] == 0.0f);
}

TEST_CASE("activation blocks decode as scale times code") {
  std::vector<std::byte> block(292);
  const float d = 0.5f;
  std::memcpy(block.data(), &d, 4);
  block[4 + 3] = std::byte{0xfe};
  float out[256];
  info(DType::kQ8_K).dequantize(block.data(), out, 256);
  CHECK(out[3] == -1.0f);
  CHECK(out[4] == 0.0f);
  std::vector<std::byte> small(36);
  small[1] = std::byte{0x38};  // the half 0.5
  small[4 + 31] = std::byte{100};
  info(DType::kQ8_1).dequantize(small.data(), out, 32);
  CHECK(out[31] == 50.0f);
}

TEST_CASE("row_bytes refuses parts of blocks and overflow") {
  CHECK(row_bytes(DType::kQ4_K, 256) == 144);
  CHECK_FALSE(row_bytes(DType::kQ4_K, 100).has_value());
  CHECK_FALSE(row_bytes(DType::kF32, INT64_MAX).has_value());
  CHECK_FALSE(row_bytes(DType::kF32, -4).has_value());
}

}  // namespace
}  // namespace cria::quant
