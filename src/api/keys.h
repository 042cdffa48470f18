// keys.h - API keys: the file that `cria key` writes and the server reads, and what a key may do.
//
// <models>/cria/keys.json, mode 0600:
//   {"version": 1, "keys": [{"id", "name", "scope", "sha256", "created_at"}, ...]}
// Of a key only its SHA-256 is kept, without salt and without a slow hash: a key is 256 random
// bits, so there is no list of likely keys to try, and no two are the same.
//
// The file's existence is the switch: as soon as it is there every request needs a key, also when
// the last one has been revoked. A file that cannot be trusted lets nobody in.
#pragma once

#include "api/duration.h"

#include <sys/stat.h>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cria::api {

// What is asked of a request; each includes those before it.
enum class Scope { kOpen, kInfer, kManage, kAdmin };
std::string_view scope_name(Scope scope);
// Throws Error{kInvalidInput} for anything but "infer", "manage" and "admin".
Scope parse_scope(std::string_view name);

struct ApiKey {
  std::string id;  // 8 hex digits
  std::string name;
  Scope scope = Scope::kInfer;
  std::string sha256;  // 64 hex digits
  std::string created_at;
};

// The text of a key file and back. Throws Error{kInvalidInput} for what is no such file.
std::vector<ApiKey> parse_keys(std::string_view text);
std::string text_of_keys(const std::vector<ApiKey>& keys);

std::filesystem::path default_key_file();

// Changes the file as a whole, one process at a time. All throw Error{kForbidden} for a file that
// others can read or write, {kInvalidInput} for one that is broken, both with what to do.
class KeyFile {
 public:
  explicit KeyFile(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }
  std::vector<ApiKey> list() const;  // none when there is no file
  struct Created {
    ApiKey key;
    std::string secret;  // "cria_" and 64 hex digits: shown once
  };
  // Throws Error{kInvalidInput} for a name of more than 100 bytes or with control characters.
  Created create(const std::string& name, Scope scope, WallTime now) const;
  // Throws Error{kNotFound}. Returns how many keys are left.
  size_t revoke(std::string_view id) const;

 private:
  void write(const std::vector<ApiKey>& keys) const;
  std::filesystem::path path_;
};

// The server's view of the file: read again when it has changed. Safe to use from several threads.
class KeyRing {
 public:
  // `always`: keys are needed also while there is no file (CRIA_REQUIRE_AUTH).
  KeyRing(std::filesystem::path path, bool always) : file_(std::move(path)), always_(always) {}

  bool required();
  // The key with this secret, nullopt when there is none. Throws Error{kBusy} when the file cannot
  // be trusted.
  std::optional<ApiKey> find(std::string_view secret);

 private:
  void refresh();  // the lock is held

  const KeyFile file_;
  const bool always_;
  std::mutex mutex_;
  std::optional<struct stat> seen_;  // of the file that was read; none: there is none
  bool exists_ = false;
  std::vector<ApiKey> keys_;
  std::string problem_;  // why the file lets nobody in
};

}  // namespace cria::api
