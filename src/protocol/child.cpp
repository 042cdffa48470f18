#include "protocol/child.h"

#include "base/error.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace cria::protocol {
namespace {

std::string describe(int status) {
  if (WIFEXITED(status)) return fmt::format("exited with status {}", WEXITSTATUS(status));
  if (WIFSIGNALED(status)) {
    const char* name = ::sigabbrev_np(WTERMSIG(status));
    return fmt::format("killed by SIG{}", name == nullptr ? "?" : name);
  }
  return "ended in an unknown way";
}

// Between fork and exec only async-signal-safe calls are allowed: another thread may have held any
// lock at the time of the fork.
[[noreturn]] void become(const char* program, char* const* arguments, int descriptor,
                         pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // the parent died before the line above
  ::setpgid(0, 0);                          // a Ctrl-C in the terminal is the server's to handle
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int number : {SIGINT, SIGTERM, SIGPIPE, SIGHUP}) ::signal(number, SIG_DFL);
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (nothing >= 0) ::dup2(nothing, 0);
  ::dup2(2, 1);  // the server's stdout is its access log
  if (descriptor == kChildDescriptor)
    ::fcntl(descriptor, F_SETFD, 0);
  else if (::dup2(descriptor, kChildDescriptor) < 0)
    ::_exit(127);
  ::close_range(kChildDescriptor + 1, ~0u, 0);
  ::execv(program, arguments);
  ::_exit(127);
}

std::unique_ptr<Child> fork_child(const std::string& program, const std::string& role) {
  const auto [ours, theirs] = make_socket_pair();
  std::string name = "cria", argument = role;
  char* const arguments[] = {name.data(), argument.data(), nullptr};
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) become(program.c_str(), arguments, theirs, parent);
  const int code = errno;
  ::close(theirs);
  if (pid < 0) {
    ::close(ours);
    fail(ErrorKind::kOutOfMemory, "cannot start the {} process: {}", role, std::strerror(code));
  }
  return std::make_unique<Child>(pid, ours);
}

}  // namespace

Child::Child(pid_t pid, int descriptor)
    : pid_(pid),
      handle_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))),
      channel_(descriptor) {}

Child::~Child() {
  kill();
  wait(std::chrono::hours(1));
  if (handle_ >= 0) ::close(handle_);
}

void Child::kill() noexcept {
  const std::lock_guard lock(mutex_);
  if (!ending_) ::kill(pid_, SIGKILL);
}

std::optional<std::string> Child::wait(std::chrono::milliseconds timeout) {
  const auto end = Channel::Clock::now() + timeout;
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      int status = 0;
      const pid_t reaped = ending_ ? 0 : ::waitpid(pid_, &status, WNOHANG);
      if (reaped == pid_) ending_ = describe(status);
      if (reaped < 0 && errno == ECHILD) ending_ = "was reaped by somebody else";
      if (ending_) return ending_;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Channel::Clock::now());
    if (left.count() <= 0) return std::nullopt;
    // A kernel without pidfd_open (before 5.3) makes this a short sleep.
    pollfd entry = {.fd = handle_, .events = POLLIN, .revents = 0};
    ::poll(&entry, 1, static_cast<int>(std::min<int64_t>(left.count(), handle_ < 0 ? 10 : 60'000)));
  }
}

struct Spawner::Order {
  std::string role;
  std::unique_ptr<Child> child;
  std::optional<Error> error;
  bool done = false;
};

Spawner::Spawner(std::string program) : program_(std::move(program)), thread_([this] { work(); }) {}

Spawner::~Spawner() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::unique_ptr<Child> Spawner::start(const std::string& role) {
  Order order{.role = role};
  std::unique_lock lock(mutex_);
  orders_.push_back(&order);
  changed_.notify_all();
  changed_.wait(lock, [&] { return order.done; });
  if (order.error) throw *order.error;
  return std::move(order.child);
}

void Spawner::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return ending_ || !orders_.empty(); });
    if (orders_.empty()) return;
    Order* order = orders_.front();
    orders_.erase(orders_.begin());
    lock.unlock();
    try {
      order->child = fork_child(program_, order->role);
    } catch (const Error& e) {
      order->error = e;
    }
    lock.lock();
    order->done = true;
    changed_.notify_all();
  }
}

}  // namespace cria::protocol
