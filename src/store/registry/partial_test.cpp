#include "store/registry/partial.h"

#include "base/error.h"
#include "store/test_store.h"

#include <doctest/doctest.h>

namespace cria::store {
namespace {

constexpr int64_t kSize = 100;

fs::path blob_of(const TestStore& store) {
  return store.folder / "sha256-x";
}

void write_state(const TestStore& store, int part, std::string_view text) {
  write_file_atomically(fmt::format("{}-partial-{}", blob_of(store).string(), part), text);
}

}  // namespace

TEST_CASE("progress of another program's download never exceeds the blob, whatever its files say") {
  const TestStore store("partial");
  write_state(store, 0, R"({"N":0,"Offset":0,"Size":60,"Completed":20})");
  write_state(store, 1, R"({"N":1,"Offset":60,"Size":40,"Completed":9223372036854775807})");
  CHECK(PartialBlob::completed_on_disk(blob_of(store), kSize) == 20);
  write_state(store, 1,
              R"({"N":1,"Offset":60,"Size":9223372036854775807,"Completed":9223372036854775807})");
  CHECK(PartialBlob::completed_on_disk(blob_of(store), kSize) == 20);
  write_state(store, 0, "nonsense");
  CHECK(PartialBlob::completed_on_disk(blob_of(store), kSize) == 0);
}

TEST_CASE("a download goes on with parts that fit, and begins anew with others") {
  const TestStore store("parts");
  {
    const auto first = PartialBlob::open(blob_of(store), kSize, 60);
    REQUIRE(first != nullptr);
    CHECK(PartialBlob::open(blob_of(store), kSize, 60) == nullptr);  // one writer at a time
    REQUIRE(first->parts().size() == 2);
    first->parts()[0].completed = 30;
    first->save(0);
  }
  CHECK(PartialBlob::open(blob_of(store), kSize, 10)->parts()[0].completed == 30);
  write_state(store, 1, R"({"N":1,"Offset":61,"Size":39,"Completed":5})");  // a gap
  const auto anew = PartialBlob::open(blob_of(store), kSize, 50);
  REQUIRE(anew != nullptr);
  REQUIRE(anew->parts().size() == 2);
  CHECK(anew->parts()[0].completed == 0);
  CHECK(anew->parts()[1].offset == 50);
}

}  // namespace cria::store
