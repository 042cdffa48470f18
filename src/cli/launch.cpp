#include "cli/launch.h"

#include "base/error.h"
#include "base/settings.h"
#include "cli/terminal/progress.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

namespace cria::cli {
namespace {

namespace fs = std::filesystem;
constexpr std::chrono::seconds kPatience{30};

bool is_local(const std::string& url) {
  for (const char* host : {"://127.", "://localhost:", "://[::1]"})
    if (url.find(host) != std::string::npos) return url.starts_with("http://");
  return false;
}

// Between fork and exec only async-signal-safe calls are allowed.
[[noreturn]] void become_server(int log, const char* program) {
  setsid();
  const int null = open("/dev/null", O_RDWR);
  dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execl(program, "cria", "serve", static_cast<char*>(nullptr));
  _exit(127);
}

}  // namespace

void ensure_server(const ApiClient& client) {
  if (client.is_up()) return;
  if (!is_local(client.url())) client.require_up();
  const fs::path folder = fs::path(setting("HOME")) / ".ollama" / "logs";
  std::error_code ignored;
  fs::create_directories(folder, ignored);
  const fs::path log_path = folder / "server.log";
  const int log = open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0)
    fail(ErrorKind::kInvalidInput, "could not write the server's log {}", log_path.string());
  const pid_t child = fork();
  if (child == 0) become_server(log, "/proc/self/exe");
  close(log);
  if (child < 0) fail(ErrorKind::kOutOfMemory, "could not start a server: no process left");
  const Progress progress("starting the server");
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < end) {
    if (client.is_up()) return;
    if (waitpid(child, nullptr, WNOHANG) == child)
      fail(ErrorKind::kInternal, "the server ended at once, see {}", log_path.string());
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  fail(ErrorKind::kInternal, "the server did not answer within {} s, see {}", kPatience.count(),
       log_path.string());
}

}  // namespace cria::cli
