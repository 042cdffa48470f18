// Compressed bodies of requests. The first two bytes say how much they may become, in units of 16
// bytes: what comes out keeps to that, is refused where one byte less is allowed, and two bodies in
// a row are both of them.
#include "base/error.h"
#include "http/content_coding.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace {

std::optional<std::string> unpack(std::string_view packed, size_t limit) {
  try {
    std::string out = cria::http::unpack_zstd(packed, limit);
    CRIA_CHECK(out.size() <= limit, "a body within its limit");
    return out;
  } catch (const cria::Error& e) {
    const bool known =
        e.kind() == cria::ErrorKind::kTooLarge || e.kind() == cria::ErrorKind::kInvalidInput;
    CRIA_CHECK(known, "a client's error");
    return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const size_t limit = 16 * (size_t{data[0]} + 256 * size_t{data[1]});
  const std::string packed(reinterpret_cast<const char*>(data) + 2, size - 2);
  const auto out = unpack(packed, limit);
  if (!out) return 0;
  CRIA_CHECK(unpack(packed, out->size()) == out, "one body whatever the limit");
  CRIA_CHECK(out->empty() || !unpack(packed, out->size() - 1), "the limit is the last byte");
  CRIA_CHECK(unpack(packed + packed, 2 * out->size()) == *out + *out, "frames in a row");
  return 0;
}
