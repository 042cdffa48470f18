#include "base/printable.h"
#include "base/shard_name.h"

#include <doctest/doctest.h>

namespace cria {

TEST_CASE("what could steer a terminal is written out, and nothing else") {
  CHECK(printable("plain \xc3\xa4 \xe2\x82\xac\n\tline") == "plain \xc3\xa4 \xe2\x82\xac\n\tline");
  CHECK(printable("\x1b[2J\a\x7f\r") == "\\x1b[2J\\x07\\x7f\\x0d");
  CHECK(printable("a\xc2\x9b"
                  "5n\xc2\xa0") == "a\\u009b5n\xc2\xa0");
  CHECK(printable("a\n\tb", "") == "a\\n\\tb");
  CHECK(printable(std::string_view("\0", 1)) == "\\x00");
  CHECK(printable("a\r\nb\rc") == "a\nb\\x0dc");
  CHECK(printable("a\r\n", "") == "a\\x0d\\n");
  CHECK(printable("\xc2") == "\xc2");
}

TEST_CASE("names of parts are read and written") {
  const auto name = parse_shard_name("/m/x-00002-of-00013.gguf");
  REQUIRE(name);
  CHECK(name->prefix == "/m/x");
  CHECK(name->number == 2);
  CHECK(name->count == 13);
  CHECK(name->part(13) == "/m/x-00013-of-00013.gguf");
  for (const char* other :
       {"x.gguf", "-00001-of-00002.gguf", "x-00000-of-00002.gguf", "x-00003-of-00002.gguf",
        "x-0001-of-00002.gguf", "x-00001-of-0000a.gguf", "x-00001-of-00002.ggu",
        "x-+0001-of-00002.gguf", ""})
    CHECK_FALSE(parse_shard_name(other));
}

}  // namespace cria
