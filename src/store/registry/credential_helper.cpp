// credential_helper.cpp - runs docker-credential-NAME: "get", the host on its input, JSON on its
// output (docker-credential-helpers, README). It is found by PATH and never passes a shell.
#include "base/error.h"
#include "base/json.h"
#include "store/registry/docker_config.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace cria::store {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kMaxOutput = 64 << 10;
constexpr std::string_view kNotFound = "credentials not found in native keychain";

// A name, not a path: config.json must not choose any program of this machine.
bool is_helper_name(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.';
  };
  return !name.empty() && name.size() <= 100 && std::ranges::all_of(name, fits);
}

struct Pipe {
  std::array<int, 2> ends = {-1, -1};  // to read, to write
  Pipe() {
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
      fail(ErrorKind::kOutOfMemory, "cannot make a pipe: {}", std::strerror(errno));
  }
  ~Pipe() {
    for (size_t end = 0; end < ends.size(); ++end) close(end);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close(size_t end) {
    if (ends[end] >= 0) ::close(ends[end]);
    ends[end] = -1;
  }
};

// Starts `program get` with these descriptors as its input and output, in a process group of its
// own.
pid_t start(const std::string& program, int input, int output) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&files, input, 0);
  posix_spawn_file_actions_adddup2(&files, output, 1);
  // What it complains about could hold a secret, and this process's stderr is a log.
  posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addclosefrom_np(&files, 3);
  sigset_t none, defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  for (const int number : {SIGINT, SIGTERM, SIGPIPE, SIGHUP}) sigaddset(&defaults, number);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  std::string name = program, verb = "get";
  char* const arguments[] = {name.data(), verb.data(), nullptr};
  pid_t pid = -1;
  const int code = ::posix_spawnp(&pid, program.c_str(), &files, &attributes, arguments, environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (code != 0) fail(ErrorKind::kUnauthorized, "it cannot be run: {}", std::strerror(code));
  return pid;
}

// The program while it runs; killed with its children when it does not end in time.
class Helper {
 public:
  Helper(const std::string& program, std::string_view input, Clock::time_point deadline)
      : deadline_(deadline) {
    Pipe in;
    // Before anybody reads: a host fits into every pipe.
    if (::write(in.ends[1], input.data(), input.size()) != std::ssize(input))
      fail(ErrorKind::kInternal, "cannot write to it");
    pid_ = start(program, in.ends[0], out_.ends[1]);
    out_.close(1);
  }
  ~Helper() {
    if (pid_ < 0) return;
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;

  std::string read_all() const {
    std::string output;
    std::array<char, 4096> piece = {};
    for (;;) {
      pollfd entry = {.fd = out_.ends[0], .events = POLLIN, .revents = 0};
      if (::poll(&entry, 1, milliseconds_left()) <= 0) continue;
      const ssize_t n = ::read(out_.ends[0], piece.data(), piece.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return output;
      output.append(piece.data(), static_cast<size_t>(n));
      if (output.size() > kMaxOutput)
        fail(ErrorKind::kUnauthorized, "it writes more than {} bytes", kMaxOutput);
    }
  }
  // Its exit status; -1 when a signal ended it.
  int wait() {
    constexpr int kTick = 5;  // it has closed its output, so its end is near
    int status = 0;
    while (::waitpid(pid_, &status, WNOHANG) == 0)
      ::poll(nullptr, 0, std::min(kTick, milliseconds_left()));
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  int milliseconds_left() const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
    if (left.count() <= 0) fail(ErrorKind::kUnauthorized, "it does not answer");
    return static_cast<int>(left.count());
  }

  const Clock::time_point deadline_;
  Pipe out_;
  pid_t pid_ = -1;
};

std::optional<Credentials> parse_answer(const std::string& text) {
  Json answer;
  try {
    answer = parse_json(text, {.max_bytes = kMaxOutput, .max_depth = 16});
  } catch (const Error&) {  // its text quotes what was read
    fail(ErrorKind::kUnauthorized, "it does not answer with valid JSON");
  }
  const std::string user = json_string(answer, "Username").value_or("");
  const std::string secret = json_string(answer, "Secret").value_or("");
  if (secret.empty()) return std::nullopt;
  if (user == "<token>") return Credentials{.user = {}, .password = {}, .identity_token = secret};
  return Credentials{.user = user, .password = secret, .identity_token = {}};
}

}  // namespace

std::optional<Credentials> ask_credential_helper(const std::string& name, const std::string& host,
                                                 std::chrono::milliseconds timeout) {
  if (!is_helper_name(name))
    fail(ErrorKind::kInvalidInput, "\"{}\" is not the name of a credential helper",
         name.substr(0, 100));
  const std::string program = "docker-credential-" + name;
  return in_context(program, [&]() -> std::optional<Credentials> {
    Helper helper(program, host, Clock::now() + timeout);
    const std::string output = helper.read_all();
    const int status = helper.wait();
    if (status == 0) return parse_answer(output);
    if (output.starts_with(kNotFound)) return std::nullopt;
    fail(ErrorKind::kUnauthorized, "it ended with status {}", status);
  });
}

}  // namespace cria::store
