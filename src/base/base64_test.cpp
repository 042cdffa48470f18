#include "base/base64.h"

#include "base/error.h"

#include <doctest/doctest.h>

namespace cria {
namespace {

TEST_CASE("base64 of the examples of RFC 4648, both ways") {
  const char* const pairs[][2] = {{"", ""},
                                  {"f", "Zg=="},
                                  {"fo", "Zm8="},
                                  {"foo", "Zm9v"},
                                  {"foob", "Zm9vYg=="},
                                  {"fooba", "Zm9vYmE="},
                                  {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : pairs) {
    CHECK(base64_encode(plain) == coded);
    CHECK(base64_decode(coded) == plain);
    CHECK_NOTHROW(base64_check(coded));
  }
  CHECK(base64_decode("Zm9v\r\nYmFy") == "foobar");
}

TEST_CASE("bad base64 is refused with the offset") {
  for (const char* bad : {"Z", "Zg", "Zg=", "Zg=a", "=", "Zm9v=", "Zg===", "Zm9v!", "data:x"})
    CHECK_THROWS_AS(base64_decode(bad), Error);
  for (const char* bad : {"Z", "Zg=a", "Zm9v!"}) CHECK_THROWS_AS(base64_check(bad), Error);
  CHECK_THROWS_WITH(base64_decode("Zm!v"), "illegal base64 data at input byte 2");
}

}  // namespace
}  // namespace cria
