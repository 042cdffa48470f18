// Manifests: only Error leaves the parser, and what parses is written and read back the same.
#include "store/manifest.h"
#include "base/error.h"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cria::store;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const Manifest manifest = Manifest::parse(text);
    CRIA_CHECK(manifest.total_size() >= 0, "sizes do not overflow");
    const std::string written = manifest.text();
    const Manifest again = Manifest::parse(written);
    CRIA_CHECK(again.text() == written && again.layers.size() == manifest.layers.size(),
               "a manifest survives the trip through its text");
  } catch (const cria::Error&) {
  }
  return 0;
}
