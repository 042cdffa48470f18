// The other side is the real ssh-keygen: its Ed25519 code is OpenSSH's own, ours is OpenSSL's.
#include "store/registry/keys.h"

#include "base/base64.h"
#include "base/disk.h"
#include "base/error.h"
#include "base/sha256.h"
#include "store/test_store.h"

#include <doctest/doctest.h>

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <span>
#include <sstream>
#include <thread>

namespace cria::store {
namespace {

struct Folder {
  const fs::path path;
  explicit Folder(std::string_view name) : path(TestStore::fresh(name)) {
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  fs::path key() const { return path / "home/id_ed25519"; }
  void write(const std::string& name, std::string_view text) const {
    std::ofstream(path / name) << text;
    fs::permissions(path / name, fs::perms::owner_read | fs::perms::owner_write);
  }
  // Runs it there; what it printed is in "out".
  int run(const std::string& command) const {
    return std::system(fmt::format("cd '{}' && {} > out 2>&1", path.string(), command).c_str());
  }
  std::string text(const std::string& name) const {
    std::ostringstream out;
    out << std::ifstream(path / name).rdbuf();
    return out.str();
  }
};

mode_t mode_of(const fs::path& path) {
  struct stat info = {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 0777;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

std::string middle(const std::string& public_line) {
  const size_t start = public_line.find(' ') + 1;
  return public_line.substr(start, public_line.find_first_of(" \n", start) - start);
}

std::string field(std::string_view text) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8)
    out += static_cast<char>(static_cast<uint32_t>(text.size()) >> shift & 0xff);
  return out + std::string(text);
}

// A signature in ssh-keygen's own envelope (openssh-portable, PROTOCOL.sshsig).
std::string envelope(const KeyPair& key, std::string_view message) {
  Sha256 hash;
  hash.update(std::as_bytes(std::span(message)));
  const std::string hex = hash.hex();
  std::string raw;
  for (size_t i = 0; i < hex.size(); i += 2)
    raw += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  const std::string about = field("cria") + field("") + field("sha256");
  const std::string signature = base64_decode(key.sign("SSHSIG" + about + field(raw)));
  const std::string all = std::string("SSHSIG\0\0\0\1", 10) +
                          field(base64_decode(key.public_blob())) + about +
                          field(field("ssh-ed25519") + field(signature));
  return "-----BEGIN SSH SIGNATURE-----\n" + base64_encode(all) + "\n-----END SSH SIGNATURE-----\n";
}

std::string refusal(const fs::path& path) {
  try {
    KeyPair::read(path);
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kInvalidInput);
    const std::string text = e.what();
    CHECK(text.starts_with(path.string()));
    return text;
  }
  return "nothing was refused";
}

TEST_CASE("ssh-keygen reads our key and derives the same public key from it") {
  const Folder folder("keys_ours");
  bool made = false;
  const KeyPair key = KeyPair::ensure(folder.key(), &made);
  CHECK(made);
  REQUIRE(folder.run("ssh-keygen -y -f home/id_ed25519") == 0);
  CHECK(folder.text("out") == folder.text("home/id_ed25519.pub"));
  CHECK(folder.text("out") == key.public_text());
  REQUIRE(folder.run("ssh-keygen -l -f home/id_ed25519.pub") == 0);
  CHECK(folder.text("out").find("(ED25519)") != std::string::npos);
}

TEST_CASE("OpenSSH verifies our signatures, and only of what was signed") {
  const Folder folder("keys_sign");
  const KeyPair key = KeyPair::generate();
  folder.write("allowed", "ann " + key.public_text());
  folder.write("signature", envelope(key, "GET,https://reg.example/token?ts=1"));
  const std::string verify =
      "ssh-keygen -Y verify -f allowed -I ann -n cria -s signature < message";
  folder.write("message", "GET,https://reg.example/token?ts=1");
  CHECK(folder.run(verify) == 0);
  folder.write("message", "GET,https://reg.example/token?ts=2");
  CHECK(folder.run(verify) != 0);
}

TEST_CASE("a key that ssh-keygen wrote is read, with or without a comment") {
  const Folder folder("keys_theirs");
  for (const std::string comment : {"''", "'ann@cellar, the second'"}) {
    fs::remove(folder.path / "key");
    REQUIRE(folder.run("ssh-keygen -q -t ed25519 -N '' -f key -C " + comment) == 0);
    const KeyPair key = KeyPair::read(folder.path / "key");
    CHECK(key.public_blob() == middle(folder.text("key.pub")));
    folder.write("allowed", "ann " + folder.text("key.pub"));
    folder.write("signature", envelope(key, "hello"));
    folder.write("message", "hello");
    CHECK(folder.run("ssh-keygen -Y verify -f allowed -I ann -n cria -s signature < message") == 0);
  }
}

TEST_CASE("keys of other kinds, protected and damaged ones are refused with the reason") {
  const Folder folder("keys_refused");
  REQUIRE(folder.run("ssh-keygen -q -t ed25519 -N 'open sesame' -f locked") == 0);
  CHECK(refusal(folder.path / "locked").find("passphrase") != std::string::npos);
  for (const std::string kind : {"rsa", "ecdsa"}) {
    REQUIRE(folder.run(fmt::format("ssh-keygen -q -t {} -N '' -f {}", kind, kind)) == 0);
    CHECK(refusal(folder.path / kind).find("another kind") != std::string::npos);
  }
  folder.write("empty", "");
  folder.write("pem", "-----BEGIN PRIVATE KEY-----\nMC4CAQ==\n-----END PRIVATE KEY-----\n");
  for (const char* const name : {"empty", "pem"})
    CHECK(refusal(folder.path / name).find("no OPENSSH PRIVATE KEY") != std::string::npos);
  CHECK_THROWS_AS(KeyPair::read(folder.path / "none"), Error);
}

TEST_CASE("no cut or changed byte of a key file does harm, and none gives another key") {
  const Folder folder("keys_damaged");
  const KeyPair key = KeyPair::generate();
  const std::string text = key.private_text();
  const size_t begin = text.find('\n') + 1, end = text.find("\n-----END");
  const std::string head = text.substr(0, begin), tail = text.substr(end);
  const std::string body = base64_decode(text.substr(begin, end - begin));
  const auto check = [&](const std::string& changed) {
    folder.write("key", head + base64_encode(changed) + tail);
    try {
      const KeyPair other = KeyPair::read(folder.path / "key");
      CHECK(other.public_blob() == key.public_blob());
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kInvalidInput);
    }
  };
  for (size_t i = 0; i < body.size(); ++i) {
    check(body.substr(0, i));
    for (const char flip : {'\x01', '\xff'}) {
      std::string changed = body;
      changed[i] = static_cast<char>(changed[i] ^ flip);
      check(changed);
    }
  }
}

TEST_CASE("the pair is made once, with modes that keep it private, and is then left alone") {
  const Folder folder("keys_made");
  bool made = false;
  KeyPair::ensure(folder.key(), &made);
  CHECK(made);
  CHECK(mode_of(folder.key().parent_path()) == 0755);
  CHECK(mode_of(folder.key()) == 0600);
  CHECK(mode_of(folder.path / "home/id_ed25519.pub") == 0644);
  const std::string before = folder.text("home/id_ed25519");
  folder.write("home/id_ed25519.pub", "with a comment of its owner\n");
  KeyPair::ensure(folder.key(), &made);
  CHECK_FALSE(made);
  CHECK(folder.text("home/id_ed25519") == before);
  CHECK(folder.text("home/id_ed25519.pub") == "with a comment of its owner\n");
  fs::remove(folder.path / "home/id_ed25519.pub");
  const KeyPair key = KeyPair::ensure(folder.key(), &made);
  CHECK_FALSE(made);
  CHECK(folder.text("home/id_ed25519.pub") == key.public_text());
}

TEST_CASE("many who make the pair at once get the same one") {
  const Folder folder("keys_race");
  std::vector<std::string> seen(16);
  std::vector<char> made(seen.size());
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < seen.size(); ++i)
      threads.emplace_back([&, i] {
        bool mine = false;
        seen[i] = KeyPair::ensure(folder.key(), &mine).public_blob();
        made[i] = mine;
      });
  }
  for (const std::string& blob : seen) CHECK(blob == seen.front());
  CHECK(std::ranges::count(made, 1) == 1);
  CHECK(names_in(folder.path / "home") == std::vector<std::string>{"id_ed25519", "id_ed25519.pub"});
}

TEST_CASE("when the disk fails at any call no half key stands and the next attempt succeeds") {
  bool finished = false;
  for (int64_t k = 1; !finished; ++k) {
    REQUIRE(k < 20);
    const Folder folder("keys_fault");
    disk::plan_fault({.call = k, .code = ENOSPC, .stays = true});
    try {
      KeyPair::ensure(folder.key());
      finished = true;
    } catch (const Error&) {
    }
    disk::plan_fault({});
    for (const std::string& name : names_in(folder.path / "home"))
      CHECK(name.find(kTemporaryMark) == std::string::npos);
    const KeyPair key = KeyPair::ensure(folder.key());
    CHECK(folder.text("home/id_ed25519.pub") == key.public_text());
    if (finished) CHECK(k >= 5);
  }
}

}  // namespace
}  // namespace cria::store
