// keys.h - the Ed25519 key pair that identifies this user to registries, as OpenSSH writes it.
//
// `~/.ollama/id_ed25519` (0600) and `.pub` (0644), whatever OLLAMA_MODELS says: the same files, and
// so the same identity, as Ollama's. Format: openssh-portable, PROTOCOL.key and RFC 4253 6.6.
#pragma once

#include "base/file.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cria::store {

class KeyPair {
 public:
  static fs::path default_path();  // of the private key
  static KeyPair generate();
  // Throws Error{kNotFound} without the file, {kInvalidInput} for one that is damaged, of another
  // kind or protected by a passphrase.
  static KeyPair read(const fs::path& path);
  // As read, but makes what is missing of the pair first; `made` says whether a new key. Of several
  // processes that come at once all get the same key. Throws also Error{kForbidden}.
  static KeyPair ensure(const fs::path& path, bool* made = nullptr);

  // The private key's file, and the text of the public key's: "ssh-ed25519 <base64>\n".
  std::string private_text() const;
  std::string public_text() const;
  std::string public_blob() const;  // base64 of the SSH wire form
  // Base64 of the 64-byte signature of `message` (RFC 8032).
  std::string sign(std::string_view message) const;

 private:
  KeyPair() = default;
  static KeyPair from_seed(const std::array<uint8_t, 32>& seed);
  std::string wire() const;
  std::array<uint8_t, 32> seed_ = {}, public_ = {};
};

}  // namespace cria::store
