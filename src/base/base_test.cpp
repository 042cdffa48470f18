#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"

#include <doctest/doctest.h>

#include <cstring>
#include <limits>

namespace cria {
namespace {

ErrorKind kind_of(auto&& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.kind();
  }
  FAIL("nothing was thrown");
  return ErrorKind::kInternal;
}

TEST_CASE("every error kind survives the trip through its name") {
  for (const ErrorKind kind : {ErrorKind::kInvalidInput, ErrorKind::kNotFound, ErrorKind::kBusy,
                               ErrorKind::kCancelled, ErrorKind::kInternal})
    CHECK(kind_from_name(kind_name(kind)) == kind);
  CHECK(http_status(ErrorKind::kNotFound) == 404);
}

TEST_CASE("JSON that is too deep, too large or malformed is refused with the reason") {
  CHECK(kind_of([] { parse_json(std::string(200, '[') + std::string(200, ']')); }) ==
        ErrorKind::kInvalidInput);
  CHECK(kind_of([] { parse_json("[1,2]", {.max_bytes = 4}); }) == ErrorKind::kTooLarge);
  CHECK(kind_of([] { parse_json("{\"a\":}"); }) == ErrorKind::kInvalidInput);
  CHECK(kind_of([] { parse_json("\"\xff\""); }) == ErrorKind::kInvalidInput);
  CHECK(parse_json("\"[[[[\\\"[[[\"").get<std::string>() == "[[[[\"[[[");
}

TEST_CASE("typed JSON access names the field whose type is wrong") {
  const Json object =
      parse_json(R"({"i":3.0,"s":"x","b":true,"n":null,"h":1e300,"u":18446744073709551615})");
  CHECK(json_integer(object, "i") == 3);
  CHECK(json_string(object, "s") == "x");
  CHECK(json_bool(object, "b") == true);
  CHECK_FALSE(json_string(object, "n").has_value());
  CHECK_FALSE(json_string(object, "absent").has_value());
  CHECK(kind_of([&] { json_integer(object, "s"); }) == ErrorKind::kInvalidInput);
  CHECK(kind_of([&] { json_integer(object, "h"); }) == ErrorKind::kInvalidInput);
  CHECK(kind_of([&] { json_integer(object, "u"); }) == ErrorKind::kInvalidInput);
}

TEST_CASE("an atomic write replaces the content and leaves no temporary file") {
  const fs::path folder = fs::temp_directory_path() / "cria_base_test";
  fs::remove_all(folder);
  fs::create_directories(folder);
  write_file_atomically(folder / "a", "one");
  write_file_atomically(folder / "a", "two");
  CHECK(read_text_file(folder / "a", 100) == "two");
  CHECK(std::distance(fs::directory_iterator(folder), fs::directory_iterator()) == 1);
  CHECK(kind_of([&] { read_text_file(folder / "a", 2); }) == ErrorKind::kTooLarge);
  CHECK(kind_of([&] { File::open(folder / "b"); }) == ErrorKind::kNotFound);
  CHECK(kind_of([&] { File::open(folder); }) == ErrorKind::kInvalidInput);
  fs::remove_all(folder);
}

TEST_CASE("SHA-256 of the standard's first example") {
  Sha256 hash;
  hash.update(std::as_bytes(std::span("abc", 3)));
  CHECK(hash.hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace cria
