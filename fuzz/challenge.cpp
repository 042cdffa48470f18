// WWW-Authenticate headers: what is read is read the same when written out again, and no challenge
// makes a token's URL lead to another host than its realm's.
#include "base/error.h"
#include "http/url.h"
#include "store/registry/auth.h"

#include <cstdint>

using cria::store::Challenge;

namespace {

std::string write(const std::vector<Challenge>& challenges) {
  std::string out;
  for (const Challenge& challenge : challenges) {
    out += out.empty() ? challenge.scheme : ", " + challenge.scheme;
    char before = ' ';
    for (const auto& [name, value] : challenge.parameters) {
      out += before + name + "=\"";
      for (const char c : value) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
      }
      out += '"';
      before = ',';
    }
  }
  return out;
}

void check_url(const Challenge& challenge) {
  const auto realm = challenge.parameters.find("realm");
  if (realm == challenge.parameters.end()) return;
  try {
    const auto there = cria::http::Url::parse(realm->second);
    const auto asked = cria::http::Url::parse(cria::store::token_url(challenge, "n", 1));
    CRIA_CHECK(there.same_origin(asked), "a query changes no origin");
  } catch (const cria::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 4096) return 0;  // written out it must stay under the limit of a header
  const auto first = cria::store::parse_challenges({reinterpret_cast<const char*>(data), size});
  const std::string text = write(first);
  CRIA_CHECK(write(cria::store::parse_challenges(text)) == text, "one meaning per challenge");
  for (const Challenge& challenge : first) check_url(challenge);
  return 0;
}
