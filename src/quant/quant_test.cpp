// Blocks against ../shared/data/quants, which an independent library wrote.
#include "quant/dtype.h"

#include "base/file.h"

#include <doctest/doctest.h>

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
    MESSAGE("SKIPPED: no shared data at ", kFolder.string());
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
  CHECK(cases >= 10);
}

TEST_CASE("row_bytes refuses parts of blocks and overflow") {
  CHECK(row_bytes(DType::kQ4_K, 256) == 144);
  CHECK_FALSE(row_bytes(DType::kQ4_K, 100).has_value());
  CHECK_FALSE(row_bytes(DType::kF32, INT64_MAX).has_value());
  CHECK_FALSE(row_bytes(DType::kF32, -4).has_value());
}

}  // namespace
}  // namespace cria::quant
