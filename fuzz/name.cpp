// Names and digests: what parses is made of safe path parts and survives the trip through its text.
#include "store/name.h"
#include "base/error.h"

#include <cstdint>
#include <filesystem>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cria::store;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto name = ModelName::parse(text)) {
    const auto again = ModelName::parse(name->full());
    CRIA_CHECK(again && again->full() == name->full() && again->same(*name), "full name parses");
    const auto brief = ModelName::parse(name->short_text());
    CRIA_CHECK(brief && brief->same(*name), "short name parses");
    const std::filesystem::path path =
        std::filesystem::path("root") / name->host() / name->space() / name->model() / name->tag();
    CRIA_CHECK(path.lexically_normal() == path, "no part leads elsewhere");
    CRIA_CHECK(std::distance(path.begin(), path.end()) == 5, "each part is one path element");
  }
  if (const auto digest = Digest::parse(text)) {
    CRIA_CHECK(digest->hex().size() == 64, "64 digits");
    CRIA_CHECK(Digest::parse(digest->file_name()) == digest, "file name parses");
  }
  return 0;
}
