// The file of API keys: only Error leaves the parser; what it lets in is well formed, and survives
// being written by `cria key`.
#include "api/keys.h"
#include "base/error.h"

#include <cstdint>

namespace {

bool same(const cria::api::ApiKey& a, const cria::api::ApiKey& b) {
  return a.id == b.id && a.name == b.name && a.scope == b.scope && a.sha256 == b.sha256 &&
         a.created_at == b.created_at;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cria::api;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<ApiKey> keys;
  try {
    keys = parse_keys(text);
  } catch (const cria::Error&) {
    return 0;
  }
  const std::vector<ApiKey> again = parse_keys(text_of_keys(keys));
  CRIA_CHECK(again.size() == keys.size(), "no key is lost or added");
  for (size_t i = 0; i < keys.size(); ++i) {
    CRIA_CHECK(keys[i].scope != Scope::kOpen && keys[i].sha256.size() == 64, "a key is whole");
    CRIA_CHECK(same(keys[i], again[i]), "a key survives the trip through the file");
  }
  return 0;
}
