// Files of chunk checksums: only Error leaves the parser, and what parses is written the same.
#include "store/chunk_sums.h"
#include "base/error.h"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    CRIA_CHECK(cria::store::ChunkSums::parse(bytes).bytes() == bytes, "one form per content");
  } catch (const cria::Error&) {
  }
  return 0;
}
