#include "store/registry/keys.h"

#include "base/base64.h"
#include "base/disk.h"
#include "base/error.h"
#include "base/settings.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace cria::store {
namespace {

constexpr std::string_view kBegin = "-----BEGIN OPENSSH PRIVATE KEY-----";
constexpr std::string_view kEnd = "-----END OPENSSH PRIVATE KEY-----";
constexpr std::string_view kMagic("openssh-key-v1\0", 15);
constexpr std::string_view kType = "ssh-ed25519";
constexpr size_t kLineLength = 70;  // as OpenSSH breaks its base64

using PrivateKey = std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)>;

std::string_view bytes_of(const std::array<uint8_t, 32>& key) {
  return {reinterpret_cast<const char*>(key.data()), key.size()};
}

void put_number(std::string& out, uint32_t n) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(n >> shift & 0xff);
}

void put_text(std::string& out, std::string_view text) {
  put_number(out, static_cast<uint32_t>(text.size()));
  out += text;
}

[[noreturn]] void fail_key(std::string_view why) {
  fail(ErrorKind::kInvalidInput, "not a usable OpenSSH Ed25519 key: {}", why);
}

// Reads the wire form; every length is checked against what is left.
class Wire {
 public:
  explicit Wire(std::string_view left) : left_(left) {}
  uint32_t number() {
    uint32_t n = 0;
    for (const char c : take(4)) n = n << 8 | static_cast<uint8_t>(c);
    return n;
  }
  std::string_view text() { return take(number()); }
  std::string_view take(size_t count) {
    if (count > left_.size()) fail_key("it ends too early");
    const std::string_view part = left_.substr(0, count);
    left_.remove_prefix(count);
    return part;
  }

 private:
  std::string_view left_;
};

std::array<uint8_t, 32> key_bytes(std::string_view text) {
  std::array<uint8_t, 32> key = {};
  if (text.size() < key.size()) fail_key("its key is too short");
  std::memcpy(key.data(), text.data(), key.size());
  return key;
}

std::string inner_of(std::string_view pem) {
  const size_t begin = pem.find(kBegin), end = pem.find(kEnd);
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin)
    fail_key("there is no OPENSSH PRIVATE KEY block");
  return std::string(pem.substr(begin + kBegin.size(), end - begin - kBegin.size()));
}

// A key that appears whole or not at all, readable by nobody else at any time. False when there is
// one already: a link, other than a rename, never replaces it.
bool write_private(const fs::path& path, std::string_view text) {
  const fs::path hidden = "." + path.filename().string() + std::string(kTemporaryMark) + "XXXXXX";
  std::string temporary = path.parent_path() / hidden;
  const int descriptor = ::mkostemp(temporary.data(), O_CLOEXEC);  // mode 0600
  const auto failed = [&] {
    fail(ErrorKind::kForbidden, "{}: cannot be written: {}", path.string(), std::strerror(errno));
  };
  if (descriptor < 0) failed();
  const bool whole = disk::write(descriptor, text.data(), text.size()) == std::ssize(text) &&
                     disk::fsync(descriptor) == 0;
  const bool linked = whole && ::link(temporary.c_str(), path.c_str()) == 0;
  const int code = errno;
  ::close(descriptor);
  ::unlink(temporary.c_str());
  errno = code;
  if (!linked && !(whole && code == EEXIST)) failed();
  if (linked) sync_folder(path.parent_path());
  return linked;
}

}  // namespace

fs::path KeyPair::default_path() {
  return fs::path(setting("HOME")) / ".ollama/id_ed25519";
}

KeyPair KeyPair::from_seed(const std::array<uint8_t, 32>& seed) {
  const PrivateKey key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()),
      EVP_PKEY_free);
  KeyPair pair;
  pair.seed_ = seed;
  size_t size = pair.public_.size();
  CRIA_CHECK(key && EVP_PKEY_get_raw_public_key(key.get(), pair.public_.data(), &size) == 1,
             "every seed is an Ed25519 key");
  return pair;
}

KeyPair KeyPair::generate() {
  std::array<uint8_t, 32> seed = {};
  CRIA_CHECK(RAND_bytes(seed.data(), static_cast<int>(seed.size())) == 1, "randomness must exist");
  return from_seed(seed);
}

KeyPair KeyPair::read(const fs::path& path) {
  return in_context(path.string(), [&] {
    const std::string decoded = base64_decode(inner_of(read_text_file(path, 1 << 16)));
    Wire outer(decoded);
    if (outer.take(kMagic.size()) != kMagic) fail_key("it does not begin as one");
    if (outer.text() != "none") fail_key("it is protected by a passphrase");
    outer.text();  // the key derivation's name and options
    outer.text();
    if (outer.number() != 1) fail_key("it does not hold one key");
    outer.text();  // the public key, which stands inside again
    Wire inner(outer.text());
    if (inner.number() != inner.number()) fail_key("its check numbers differ");
    if (inner.text() != kType) fail_key("it is of another kind than ssh-ed25519");
    const auto claimed = key_bytes(inner.text());
    const KeyPair pair = from_seed(key_bytes(inner.text()));
    if (pair.public_ != claimed) fail_key("its halves do not belong together");
    return pair;
  });
}

KeyPair KeyPair::ensure(const fs::path& path, bool* made) {
  const fs::path folder = path.parent_path();
  if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST)
    fail(ErrorKind::kForbidden, "{}: cannot be made: {}", folder.string(), std::strerror(errno));
  std::error_code code;
  bool is_ours = false;
  if (!fs::exists(path, code)) is_ours = write_private(path, generate().private_text());
  const KeyPair pair = read(path);  // of another process, if that was faster
  // Also after a crash between the two files. Its owner may have given it a comment: it stays.
  const fs::path shared = path.string() + ".pub";
  if (!fs::exists(shared, code)) write_file_atomically(shared, pair.public_text());
  if (made != nullptr) *made = is_ours;
  return pair;
}

std::string KeyPair::wire() const {
  std::string out;
  put_text(out, kType);
  put_text(out, bytes_of(public_));
  return out;
}

std::string KeyPair::private_text() const {
  std::string inner;
  uint32_t check = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&check), sizeof(check));
  put_number(inner, check);
  put_number(inner, check);
  put_text(inner, kType);
  put_text(inner, bytes_of(public_));
  put_text(inner, std::string(bytes_of(seed_)) + std::string(bytes_of(public_)));
  put_text(inner, "");  // no comment
  for (char pad = 1; inner.size() % 8 != 0; ++pad) inner += pad;
  std::string outer(kMagic);
  for (const std::string_view part : {"none", "none", ""}) put_text(outer, part);
  put_number(outer, 1);
  put_text(outer, wire());
  put_text(outer, inner);
  const std::string text = base64_encode(outer);
  std::string pem(kBegin);
  pem += '\n';
  for (size_t i = 0; i < text.size(); i += kLineLength) pem += text.substr(i, kLineLength) + "\n";
  return pem + std::string(kEnd) + "\n";
}

std::string KeyPair::public_blob() const {
  return base64_encode(wire());
}

std::string KeyPair::public_text() const {
  return std::string(kType) + " " + public_blob() + "\n";
}

std::string KeyPair::sign(std::string_view message) const {
  const PrivateKey key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed_.data(), seed_.size()),
      EVP_PKEY_free);
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(),
                                                                   EVP_MD_CTX_free);
  std::array<unsigned char, 64> signature = {};
  size_t size = signature.size();
  CRIA_CHECK(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
                 EVP_DigestSign(context.get(), signature.data(), &size,
                                reinterpret_cast<const unsigned char*>(message.data()),
                                message.size()) == 1,
             "signing with a valid key");
  return base64_encode(std::string_view(reinterpret_cast<const char*>(signature.data()), size));
}

}  // namespace cria::store
