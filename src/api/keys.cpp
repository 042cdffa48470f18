#include "api/keys.h"

#include "base/disk.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/models_folder.h"
#include "base/sha256.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <utility>

namespace cria::api {
namespace {

constexpr int64_t kMaxFile = int64_t{16} << 20;
constexpr size_t kMaxName = 100;
constexpr std::string_view kPrefix = "cria_";
constexpr size_t kSecretDigits = 64, kIdDigits = 8;
constexpr std::array kScopes = {std::pair(Scope::kInfer, std::string_view("infer")),
                                std::pair(Scope::kManage, std::string_view("manage")),
                                std::pair(Scope::kAdmin, std::string_view("admin"))};

struct Descriptor {
  int number = -1;
  explicit Descriptor(int opened) : number(opened) {}
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

[[noreturn]] void fail_at(const fs::path& path, std::string_view doing, int code = errno) {
  const ErrorKind kind = code == EACCES || code == EPERM    ? ErrorKind::kForbidden
                         : code == ENOSPC || code == EDQUOT ? ErrorKind::kOutOfMemory
                                                            : ErrorKind::kInternal;
  fail(kind, "{}: cannot {}: {}", path.string(), doing, std::strerror(code));
}

bool is_hex(std::string_view text, size_t digits) {
  return text.size() == digits &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string random_hex(size_t digits) {
  std::random_device random;  // of the kernel or the CPU: fit for keys in libstdc++ on Linux
  std::string text;
  while (text.size() < digits) text += fmt::format("{:08x}", random());
  return text.substr(0, digits);
}

std::string sha256_of(std::string_view text) {
  Sha256 hash;
  hash.update(std::as_bytes(std::span(text)));
  return hash.hex();
}

// Takes the same time wherever the two differ.
bool equal_in_constant_time(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  volatile unsigned difference = 0;
  for (size_t i = 0; i < a.size(); ++i)
    difference = difference | static_cast<unsigned>(static_cast<unsigned char>(a[i]) ^
                                                    static_cast<unsigned char>(b[i]));
  return difference == 0;
}

ApiKey key_from(const Json& json) {
  const auto text = [&](std::string_view key) { return json_string(json, key).value_or(""); };
  if (!json.is_object()) fail(ErrorKind::kInvalidInput, "a key must be an object");
  ApiKey key = {.id = text("id"),
                .name = text("name"),
                .scope = parse_scope(text("scope")),
                .sha256 = text("sha256"),
                .created_at = text("created_at")};
  if (!is_hex(key.id, kIdDigits) || !is_hex(key.sha256, kSecretDigits))
    fail(ErrorKind::kInvalidInput, "key \"{}\" has no proper id or sha256", key.id);
  return key;
}

// Whoever can write the file can let himself in.
void check_rights(const fs::path& path, const struct stat& info) {
  if (info.st_uid != ::geteuid() && info.st_uid != 0)
    fail(ErrorKind::kForbidden, "{}: belongs to another user (uid {}); `chown` it to uid {}",
         path.string(), info.st_uid, ::geteuid());
  if ((info.st_mode & 077) != 0)
    fail(ErrorKind::kForbidden,
         "{}: others may read or write it (mode {:04o}); `chmod 600 {}`, then see by `cria key "
         "list` that all its keys are yours",
         path.string(), info.st_mode & 07777, path.string());
}

std::vector<ApiKey> read_keys(const fs::path& path) {
  const auto file = File::open(path);
  struct stat info = {};
  if (::fstat(file->descriptor(), &info) != 0) fail_at(path, "read its rights");
  check_rights(path, info);
  if (file->size() > kMaxFile)
    fail(ErrorKind::kInvalidInput, "{}: {} bytes is over the limit of {}", path.string(),
         file->size(), kMaxFile);
  std::string text(static_cast<size_t>(file->size()), '\0');
  file->read_at(0, std::as_writable_bytes(std::span(text)));
  try {
    return parse_keys(text);
  } catch (const Error& e) {
    fail(ErrorKind::kInvalidInput,
         "{}: is damaged: {}; restore it, or remove it and create new keys", path.string(),
         e.what());
  }
}

// Held by whoever changes the file.
class ChangeLock {
 public:
  explicit ChangeLock(const fs::path& path)
      : lock_(::open((path.string() + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
                     0600)) {
    if (lock_.number < 0 || ::flock(lock_.number, LOCK_EX) != 0) fail_at(path, "lock");
  }

 private:
  Descriptor lock_;
};

bool same_file(const struct stat& a, const struct stat& b) {
  const auto same = [](const timespec& x, const timespec& y) {
    return x.tv_sec == y.tv_sec && x.tv_nsec == y.tv_nsec;
  };
  return a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_size == b.st_size &&
         same(a.st_mtim, b.st_mtim) && same(a.st_ctim, b.st_ctim);
}

}  // namespace

std::string_view scope_name(Scope scope) {
  for (const auto& [value, name] : kScopes)
    if (value == scope) return name;
  return "open";
}

Scope parse_scope(std::string_view text) {
  for (const auto& [value, name] : kScopes)
    if (name == text) return value;
  fail(ErrorKind::kInvalidInput, "\"{}\" is no scope: use infer, manage or admin", text);
}

std::vector<ApiKey> parse_keys(std::string_view text) {
  const Json json = parse_json(text);
  if (json_integer(json, "version") != 1) fail(ErrorKind::kInvalidInput, "\"version\" must be 1");
  const Json* const list = json_find(json, "keys");
  if (list == nullptr || !list->is_array())
    fail(ErrorKind::kInvalidInput, "\"keys\" must be an array");
  std::vector<ApiKey> keys;
  for (const Json& one : *list) keys.push_back(key_from(one));
  return keys;
}

std::string text_of_keys(const std::vector<ApiKey>& keys) {
  Json list = Json::array();
  for (const ApiKey& key : keys)
    list.push_back({{"id", key.id},
                    {"name", key.name},
                    {"scope", scope_name(key.scope)},
                    {"sha256", key.sha256},
                    {"created_at", key.created_at}});
  return dump_json({{"version", 1}, {"keys", std::move(list)}}, 1) + "\n";
}

fs::path default_key_file() {
  return models_folder() / "cria" / "keys.json";
}

std::vector<ApiKey> KeyFile::list() const {
  try {
    return read_keys(path_);
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::kNotFound) return {};
    throw;
  }
}

KeyFile::Created KeyFile::create(const std::string& name, Scope scope, WallTime now) const {
  const bool odd = std::ranges::any_of(
      name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (name.size() > kMaxName || odd)
    fail(ErrorKind::kInvalidInput, "a key's name has at most {} bytes and no control characters",
         kMaxName);
  std::error_code code;
  fs::create_directories(path_.parent_path(), code);
  if (code) fail_at(path_.parent_path(), "create the folder", code.value());
  const ChangeLock lock(path_);
  std::vector<ApiKey> keys = list();
  Created created = {.key = {.name = name, .scope = scope, .created_at = format_utc(now)},
                     .secret = std::string(kPrefix) + random_hex(kSecretDigits)};
  do {
    created.key.id = random_hex(kIdDigits);
  } while (std::ranges::find(keys, created.key.id, &ApiKey::id) != keys.end());
  created.key.sha256 = sha256_of(created.secret);
  keys.push_back(created.key);
  write(keys);
  return created;
}

size_t KeyFile::revoke(std::string_view id) const {
  std::error_code ignored;
  const auto unknown = [&] {
    fail(ErrorKind::kNotFound, "there is no key \"{}\"; `cria key list` shows the ids", id);
  };
  if (!fs::exists(path_, ignored)) unknown();
  const ChangeLock lock(path_);
  std::vector<ApiKey> keys = list();
  if (std::erase_if(keys, [&](const ApiKey& key) { return key.id == id; }) == 0) unknown();
  write(keys);
  return keys.size();
}

// The lock is held, so the temporary name is ours.
void KeyFile::write(const std::vector<ApiKey>& keys) const {
  const std::string text = text_of_keys(keys);
  if (std::ssize(text) > kMaxFile)
    fail(ErrorKind::kInvalidInput, "{} keys are more than {} holds; revoke some", keys.size(),
         path_.string());
  const std::string temporary = path_.string() + ".new";
  ::unlink(temporary.c_str());
  const Descriptor out(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (out.number < 0) fail_at(temporary, "write");
  std::string_view left = text;
  while (!left.empty()) {
    const ssize_t count = disk::write(out.number, left.data(), left.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_at(temporary, "write");
    left.remove_prefix(static_cast<size_t>(count));
  }
  if (disk::fsync(out.number) != 0 || disk::rename(temporary.c_str(), path_.c_str()) != 0)
    fail_at(path_, "write");
  sync_folder(path_.parent_path());
}

void KeyRing::refresh() {
  struct stat info = {};
  const bool there = ::stat(file_.path().c_str(), &info) == 0;
  if (!there && errno == ENOENT) {
    exists_ = false;
    seen_.reset();
    keys_.clear();
    problem_.clear();
    return;
  }
  if (there && seen_ && same_file(*seen_, info)) return;
  exists_ = true;
  keys_.clear();
  std::string problem;
  try {
    keys_ = file_.list();
  } catch (const Error& e) {
    problem = e.what();
  }
  if (problem != problem_ && !problem.empty())
    log::error("API keys cannot be checked, so every request is refused: {}", problem);
  problem_ = std::move(problem);
  seen_.reset();
  if (there) seen_ = info;
}

bool KeyRing::required() {
  if (always_) return true;
  const std::lock_guard lock(mutex_);
  refresh();
  return exists_;
}

std::optional<ApiKey> KeyRing::find(std::string_view secret) {
  if (secret.size() != kPrefix.size() + kSecretDigits) secret = {};  // hashed all the same
  const std::string digest = sha256_of(secret);
  const std::lock_guard lock(mutex_);
  refresh();
  if (!problem_.empty())
    fail(ErrorKind::kBusy,
         "API keys cannot be checked; the server's log says why and what its operator can do");
  std::optional<ApiKey> found;
  for (const ApiKey& key : keys_)  // all of them, so that time tells nothing
    if (equal_in_constant_time(key.sha256, digest)) found = key;
  return found;
}

}  // namespace cria::api
