// What stands in the store when the k-th write, fsync or rename fails, when the disk is full, and
// when the process is killed there.
#include "base/disk.h"
#include "base/error.h"
#include "store/test_store.h"
#include "tests/skip.h"

#include <doctest/doctest.h>

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>

namespace cria::store {
namespace {

using Names = std::vector<std::string>;
constexpr int64_t kMostCalls = 100;

// Replaces model "m": two blobs, of which one is new and comes in two pieces, and the manifest.
void replace_model(Store& store) {
  Manifest manifest = {.config = store.write_blob("{}\n", "config"), .layers = {}};
  Store::Upload upload(store);
  const std::string piece(5000, 'n');
  upload.write(std::as_bytes(std::span(piece)));
  upload.write(std::as_bytes(std::span(piece)));
  manifest.layers.push_back(store.layer_of(upload.finish(), "model"));
  manifest.layers.push_back(store.write_blob("new system", "system"));
  store.write_manifest(ModelName::require("m"), manifest);
}

// The old model or the new one stands, whole; the other model is as it was; nothing temporary.
bool store_is_sound(TestStore& t, const std::string& old_digest, bool& replaced) {
  t.store.prune();
  for (const std::string& file : t.files())
    if (file.find("tmp-") != std::string::npos) return false;
  if (names(t.store) != Names{"m:latest", "other:latest"}) return false;
  for (const StoredModel& model : t.store.list())
    for (const Layer& layer : model.manifest.layers) t.store.open_blob(layer);
  replaced = t.store.require(ModelName::require("m")).digest != old_digest;
  return true;
}

struct Prepared : TestStore {
  std::string old_digest;
  explicit Prepared(std::string_view name) : TestStore(name) {
    make_model(store, "other", "other weights");
    make_model(store, "m", "old weights");
    old_digest = store.require(ModelName::require("m")).digest;
  }
};

// Exit status of a child that runs `body`; 128 + signal when it was killed.
int in_child(const auto& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST_CASE("when the k-th write, fsync or rename fails the old model stands and nothing is left") {
  for (const int code : {EIO, ENOSPC}) {
    bool replaced = false;
    for (int64_t k = 1; !replaced; ++k) {
      REQUIRE(k < kMostCalls);
      Prepared t("kth");
      disk::plan_fault({.call = k, .code = code, .stays = code == ENOSPC});
      bool failed = false;
      try {
        replace_model(t.store);
      } catch (const Error& e) {
        failed = true;
        CHECK((e.kind() == ErrorKind::kOutOfMemory) == (code == ENOSPC));
      }
      disk::plan_fault({});
      for (const std::string& file : t.files()) CHECK(file.find("tmp-") == std::string::npos);
      CHECK(store_is_sound(t, t.old_digest, replaced));
      // Only the last step, making the rename durable, may fail with the new model in place.
      if (!failed) CHECK(replaced);
      if (!failed) CHECK(k >= 9);
    }
  }
}

TEST_CASE("a process killed at any write, fsync or rename leaves the old or the new model") {
  bool finished = false;
  for (int64_t k = 1; !finished; ++k) {
    REQUIRE(k < kMostCalls);
    Prepared t("killed");
    const int status = in_child([&] {
      disk::plan_fault({.call = k, .code = disk::kKill});
      replace_model(t.store);
      return 0;
    });
    finished = status == 0;
    CHECK((finished || status == 128 + SIGKILL));
    bool replaced = false;
    CHECK(store_is_sound(t, t.old_digest, replaced));
    if (finished) CHECK(replaced);
  }
}

TEST_CASE("a limit on file size, met in the middle of a blob, leaves nothing behind") {
  Prepared t("fsize");
  const int status = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {6000, 6000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      replace_model(t.store);
    } catch (const Error& e) {
      return e.kind() == ErrorKind::kOutOfMemory ? 0 : 2;
    }
    return 1;
  });
  CHECK(status == 0);
  for (const std::string& file : t.files()) CHECK(file.find("tmp-") == std::string::npos);
  bool replaced = true;
  CHECK(store_is_sound(t, t.old_digest, replaced));
  CHECK_FALSE(replaced);
}

TEST_CASE("on a full disk an upload fails clearly, and the store works on in the space it had") {
  const fs::path folder = TestStore::fresh("full");
  fs::create_directories(folder);
  const int status = in_child([&] {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("none", folder.c_str(), "tmpfs", 0, "size=256k") != 0)
      return 77;
    Store store(folder);
    make_model(store, "m", "weights");
    try {
      Store::Upload upload(store);
      const std::string piece(64 << 10, 'x');
      for (int i = 0; i < 16; ++i) upload.write(std::as_bytes(std::span(piece)));
      upload.finish();
      return 1;
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::kOutOfMemory) return 2;
    }
    make_model(store, "after", "small");
    return names(store) == Names{"after:latest", "m:latest"} ? 0 : 3;
  });
  fs::remove_all(folder);
  if (status == 77)
    test::skip("no right to mount a small file system here");
  else
    CHECK(status == 0);
}

}  // namespace
}  // namespace cria::store
