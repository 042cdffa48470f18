#include "base/sandbox.h"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <thread>

namespace cria {
namespace {

// Runs `body` in a child that has entered the sandbox; its return value is the exit status.
int in_sandbox(int (*body)(const SandboxReport&)) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body(enter_sandbox()));
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST_CASE("in the sandbox no file opens, no socket is made, no program starts") {
  CHECK(in_sandbox([](const SandboxReport& report) {
          if (!report.files) return 0;  // said in the test below
          if (::open("/etc/passwd", O_RDONLY) >= 0) return 1;
          if (::open("/tmp/cria_sandbox_probe", O_WRONLY | O_CREAT, 0600) >= 0) return 2;
          return ::open("/proc/self/status", O_RDONLY) >= 0 ? 0 : 3;
        }) == 0);
  CHECK(in_sandbox([](const SandboxReport& report) {
          if (!report.syscalls) return 0;
          if (::socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM) return 1;
          char name[] = "/bin/true";
          char* arguments[] = {name, nullptr};
          ::execv(name, arguments);
          return errno == EPERM ? 0 : 2;
        }) == 0);
}

TEST_CASE("in the sandbox threads, memory and open descriptors still work") {
  CHECK(in_sandbox([](const SandboxReport&) {
          int pipe_ends[2];
          if (::pipe(pipe_ends) != 0) return 1;
          std::thread writer([&] { static_cast<void>(!::write(pipe_ends[1], "x", 1)); });
          writer.join();
          char byte = 0;
          void* memory = std::malloc(64 << 20);
          const bool ok = memory != nullptr && ::read(pipe_ends[0], &byte, 1) == 1 && byte == 'x';
          std::free(memory);
          return ok ? 0 : 2;
        }) == 0);
}

TEST_CASE("what this kernel restricts is reported") {
  const int status = in_sandbox([](const SandboxReport& r) { return (r.files ? 1 : 0) + (r.syscalls ? 2 : 0); });
  if ((status & 1) == 0) MESSAGE("SKIPPED: this kernel has no Landlock");
  if ((status & 2) == 0) MESSAGE("SKIPPED: this kernel has no seccomp");
  CHECK(status < 4);
}

}  // namespace
}  // namespace cria
