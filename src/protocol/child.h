// child.h - processes of this program in another role (runner, worker), each with a Channel.
//
// The child finds its end of the channel at descriptor kChildDescriptor, stderr is ours, stdin is
// empty, and nothing else is open. It dies with the parent, however that ends.
#pragma once

#include "protocol/channel.h"

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace cria::protocol {

inline constexpr int kChildDescriptor = 3;

// One child. Its destruction kills and reaps it.
class Child {
 public:
  Child(pid_t pid, int descriptor);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  Channel& channel() noexcept { return channel_; }
  pid_t pid() const noexcept { return pid_; }
  // SIGKILL; does nothing to a child that was reaped.
  void kill() noexcept;
  // How it ended ("exited with status 1", "killed by SIGSEGV"), reaping it; nullopt when it still
  // runs after `timeout`.
  std::optional<std::string> wait(std::chrono::milliseconds timeout);

 private:
  const pid_t pid_;
  const int handle_;  // of the process, readable at its end; -1 on a kernel without such handles
  Channel channel_;
  std::mutex mutex_;
  std::optional<std::string> ending_;
};

// Starts children from one thread of its own: Linux sends the parent-death signal when the *thread*
// that forked ends, and the threads that serve requests come and go.
class Spawner {
 public:
  explicit Spawner(std::string program = "/proc/self/exe");
  ~Spawner();  // children outlive it only as long as the process

  // Throws Error{kOutOfMemory or kInternal} when no process can be made.
  std::unique_ptr<Child> start(const std::string& role);

 private:
  struct Order;
  void work();

  const std::string program_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Order*> orders_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace cria::protocol
