// sandbox.h - gives up rights before untrusted files are parsed (runner and worker).
#pragma once

#include <string>

namespace cria {

struct SandboxReport {
  bool files = false;     // no file can be opened any more (Landlock)
  bool syscalls = false;  // no socket, no exec, no signal to or debugging of others (seccomp)
  bool complete() const { return files && syscalls; }
  std::string text() const;
};

// From here on this process and its threads: open no file for writing and none that is not already
// open, make no network socket, start no program, signal no other process. Descriptors that are
// open stay usable; reading below /proc and /sys goes on, for memory and CPU figures. What the
// kernel does not offer is missing in the report, never an error. Call it before other threads
// exist.
SandboxReport enter_sandbox() noexcept;

}  // namespace cria
