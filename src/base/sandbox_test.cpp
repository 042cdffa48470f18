#include "base/sandbox.h"
#include "tests/skip.h"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
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

TEST_CASE("in the sandbox no other process is signalled and no file changed by name") {
  const char* path = "/dev/shm/cria_sandbox_probe";
  ::close(::open(path, O_WRONLY | O_CREAT, 0600));
  CHECK(in_sandbox([](const SandboxReport& report) {
          if (!report.syscalls) return 0;
          const char* probe = "/dev/shm/cria_sandbox_probe";
          if (::kill(::getppid(), 0) == 0 || errno != EPERM) return 1;
          if (::syscall(SYS_tgkill, ::getppid(), ::getppid(), 0) == 0) return 2;
          if (::truncate(probe, 0) == 0 || ::chmod(probe, 0644) == 0 || ::unlink(probe) == 0)
            return 3;
          if (::ioctl(2, TIOCSTI, "x") == 0 || errno != EPERM) return 4;
          rlimit limit = {};
          if (::prlimit(::getppid(), RLIMIT_NOFILE, nullptr, &limit) == 0) return 5;
          if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 6;
          return 0;
        }) == 0);
  ::unlink(path);
}

TEST_CASE("in the sandbox abort() still ends the process by its signal") {
  CHECK(in_sandbox([](const SandboxReport&) -> int {
          ::signal(SIGABRT, SIG_DFL);  // not the test framework's
          std::abort();
        }) == 128 + SIGABRT);
}

#if defined(__x86_64__)
TEST_CASE("in the sandbox the second calling convention of x86 is no way out") {
  const int status = in_sandbox([](const SandboxReport& report) {
    if (!report.syscalls) return 128 + SIGSYS;
    return ::syscall(0x40000000 | SYS_socket, AF_INET, SOCK_STREAM, 0) >= 0 ? 1 : 2;
  });
  CHECK(status == 128 + SIGSYS);
}
#endif

TEST_CASE("what this kernel restricts is reported") {
  const int status =
      in_sandbox([](const SandboxReport& r) { return (r.files ? 1 : 0) + (r.syscalls ? 2 : 0); });
  if ((status & 1) == 0) test::skip("this kernel has no Landlock");
  if ((status & 2) == 0) test::skip("this kernel has no seccomp");
  CHECK(status < 4);
}

}  // namespace
}  // namespace cria
