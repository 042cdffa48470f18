#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/settings.h"
#include "base/sha256.h"
#include "tests/kind_of.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <limits>

namespace cria {
namespace {

using test::kind_of;

TEST_CASE("every error kind survives the trip through its name") {
  for (const ErrorKind kind : {ErrorKind::kInvalidInput, ErrorKind::kNotFound, ErrorKind::kBusy,
                               ErrorKind::kCancelled, ErrorKind::kInternal})
    CHECK(kind_from_name(kind_name(kind)) == kind);
  CHECK(http_status(ErrorKind::kNotFound) == 404);
}

TEST_CASE("nothing that is logged can end the line, forge another or steer a terminal") {
  CHECK(log::escaped("plain é 模") == "plain é 模");
  CHECK(log::escaped("a\nlevel=error msg=\"x\\") == "a\\nlevel=error msg=\\\"x\\\\");
  CHECK(log::escaped("\x1b[2J\t\x7f\r") == "\\x1b[2J\\t\\x7f\\x0d");
  CHECK(log::escaped("\xc2\x9b"
                     "31m\xc2\xa0") == "\\u009b31m\xc2\xa0");
}

TEST_CASE("a variable that holds nonsense counts as its default") {
  const auto set = [](const char* value) { ::setenv("OLLAMA_NUM_PARALLEL", value, 1); };
  const auto unset = setting_integer("OLLAMA_NUM_PARALLEL");
  set("3");
  CHECK(setting_integer("OLLAMA_NUM_PARALLEL") == 3);
  for (const char* bad : {"three", "3x", "99999999999999999999", "1.5", "-1"}) {
    set(bad);
    CHECK(setting_integer("OLLAMA_NUM_PARALLEL") == unset);
  }
  ::unsetenv("OLLAMA_NUM_PARALLEL");
  ::setenv("CRIA_STALL_TIMEOUT", "soon", 1);
  CHECK(setting_duration("CRIA_STALL_TIMEOUT") == std::chrono::seconds(30));
  ::setenv("CRIA_STALL_TIMEOUT", "250ms", 1);
  CHECK(setting_duration("CRIA_STALL_TIMEOUT") == std::chrono::milliseconds(250));
  ::unsetenv("CRIA_STALL_TIMEOUT");
  const auto choice = [] { return setting_choice("CRIA_LOG_FORMAT", {"text", "json"}); };
  ::setenv("CRIA_LOG_FORMAT", "JSON", 1);
  CHECK(choice() == "json");
  ::setenv("CRIA_LOG_FORMAT", "xml", 1);
  CHECK(choice() == "text");
  ::unsetenv("CRIA_LOG_FORMAT");
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
