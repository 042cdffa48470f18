#include "api/keys.h"
#include "base/error.h"
#include "tests/kind_of.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <thread>

namespace cria::api {
namespace {

namespace fs = std::filesystem;
using test::kind_of;

struct Folder {
  fs::path path;
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "cria-keys-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~Folder() { fs::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  fs::path file() const { return path / "cria" / "keys.json"; }
};

KeyFile::Created make(const KeyFile& file, Scope scope = Scope::kInfer) {
  return file.create("a name", scope, WallTime());
}

std::string text_of(const fs::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST_CASE("a key is found by its secret, of which the file holds only the SHA-256") {
  const Folder folder;
  const KeyFile file(folder.file());
  KeyRing ring(folder.file(), false);
  CHECK_FALSE(ring.required());
  const auto created = make(file, Scope::kManage);
  CHECK(ring.required());
  CHECK(created.secret.size() == 5 + 64);
  const auto found = ring.find(created.secret);
  REQUIRE(found);
  CHECK(found->id == created.key.id);
  CHECK(found->scope == Scope::kManage);
  CHECK(text_of(folder.file()).find(created.secret.substr(5)) == std::string::npos);
  for (const std::string& wrong :
       {std::string(), created.secret.substr(1), created.secret + "0", created.key.sha256,
        std::string(60'000, 'x'), "cria_" + std::string(64, '0')})
    CHECK_FALSE(ring.find(wrong));
  CHECK((fs::status(folder.file()).permissions() & fs::perms::all) ==
        (fs::perms::owner_read | fs::perms::owner_write));
}

TEST_CASE("a revoked key ends at once, and the last one leaves a closed door") {
  const Folder folder;
  const KeyFile file(folder.file());
  KeyRing ring(folder.file(), false);
  const auto one = make(file), two = make(file);
  CHECK(ring.find(one.secret));
  CHECK(file.revoke(one.key.id) == 1);
  CHECK_FALSE(ring.find(one.secret));
  CHECK(ring.find(two.secret));
  CHECK(file.revoke(two.key.id) == 0);
  CHECK(ring.required());
  CHECK_FALSE(ring.find(two.secret));
  CHECK(kind_of([&] { file.revoke(two.key.id); }) == ErrorKind::kNotFound);
  fs::remove(folder.file());
  CHECK_FALSE(ring.required());
  CHECK(KeyRing(folder.file(), true).required());
}

TEST_CASE("a file that cannot be trusted lets nobody in and is not overwritten") {
  const Folder folder;
  const KeyFile file(folder.file());
  KeyRing ring(folder.file(), false);
  const auto created = make(file);
  const std::string good = text_of(folder.file());
  for (const std::string& bad :
       {std::string(), std::string("{"), std::string("[]"), good.substr(0, good.size() / 2),
        std::string(R"({"version":2,"keys":[]})"), std::string(R"({"version":1,"keys":{}})"),
        std::string(R"({"version":1,"keys":[3]})"),
        std::string(R"({"version":1,"keys":[{"id":"0badc0de","scope":"root","sha256":"00"}]})"),
        std::string(R"({"version":1,"keys":[{"id":"0badc0de","scope":"admin","sha256":""}]})"),
        std::string(100'000, '[')}) {
    std::ofstream(folder.file()) << bad;
    CHECK(ring.required());
    CHECK(kind_of([&] { ring.find(created.secret); }) == ErrorKind::kBusy);
    CHECK(kind_of([&] { make(file); }) == ErrorKind::kInvalidInput);
    CHECK(text_of(folder.file()) == bad);
  }
  std::ofstream(folder.file()) << good;
  CHECK(ring.find(created.secret));
  for (const fs::perms loose : {fs::perms::group_read, fs::perms::others_write}) {
    fs::permissions(folder.file(), loose, fs::perm_options::add);
    CHECK(kind_of([&] { ring.find(created.secret); }) == ErrorKind::kBusy);
    CHECK(kind_of([&] { file.list(); }) == ErrorKind::kForbidden);
    fs::permissions(folder.file(), loose, fs::perm_options::remove);
    CHECK(ring.find(created.secret));
  }
  fs::remove(folder.file());
  fs::create_directory(folder.file());
  CHECK(ring.required());
  CHECK(kind_of([&] { ring.find(created.secret); }) == ErrorKind::kBusy);
}

TEST_CASE("keys made at the same time are all kept") {
  const Folder folder;
  std::vector<std::string> secrets(40);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (size_t i = t; i < secrets.size(); i += 4)
        secrets[i] = make(KeyFile(folder.file())).secret;
    });
  for (std::thread& thread : threads) thread.join();
  KeyRing ring(folder.file(), false);
  std::set<std::string> ids;
  for (const std::string& secret : secrets) {
    const auto key = ring.find(secret);
    REQUIRE(key);
    ids.insert(key->id);
  }
  CHECK(ids.size() == secrets.size());
}

TEST_CASE("scopes and names are checked") {
  const Folder folder;
  const KeyFile file(folder.file());
  for (const char* bad : {"", "Infer", "root", "open", "admin "})
    CHECK(kind_of([&] { parse_scope(bad); }) == ErrorKind::kInvalidInput);
  CHECK(Scope::kInfer < parse_scope("manage"));
  CHECK(parse_scope("manage") < parse_scope("admin"));
  for (const std::string& bad :
       {std::string(101, 'a'), std::string("a\nb"), std::string("\x1b[2J")})
    CHECK(kind_of([&] { file.create(bad, Scope::kInfer, WallTime()); }) ==
          ErrorKind::kInvalidInput);
  CHECK_FALSE(fs::exists(folder.file()));
}

}  // namespace
}  // namespace cria::api
