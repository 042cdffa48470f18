#include "base/sha256.h"

#include "base/error.h"

#include <openssl/evp.h>

#include <array>

namespace cria {

struct Sha256::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(evp); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  CRIA_CHECK(EVP_DigestInit_ex(context_->evp, EVP_sha256(), nullptr) == 1, "SHA-256 must exist");
}
Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> bytes) {
  CRIA_CHECK(EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()) == 1, "digest update");
}

std::string Sha256::hex() {
  std::array<unsigned char, 32> digest = {};
  CRIA_CHECK(EVP_DigestFinal_ex(context_->evp, digest.data(), nullptr) == 1, "digest end");
  std::string text;
  for (const unsigned char byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

}  // namespace cria
