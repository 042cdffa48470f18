#include "base/sandbox.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace cria {
namespace {

// Rights of the first Landlock version, which every kernel with Landlock has.
constexpr uint64_t kFirstRights = (uint64_t{1} << 13) - 1;
constexpr uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;

void allow_reading(int ruleset, const char* folder) noexcept {
  const int descriptor = ::open(folder, O_PATH | O_CLOEXEC);
  if (descriptor < 0) return;
  landlock_path_beneath_attr rule = {};
  rule.allowed_access = kRead;
  rule.parent_fd = descriptor;
  ::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
  ::close(descriptor);
}

bool restrict_files() noexcept {
  landlock_ruleset_attr attributes = {};
  attributes.handled_access_fs = kFirstRights;
  const auto ruleset = static_cast<int>(
      ::syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes.handled_access_fs), 0));
  if (ruleset < 0) return false;
  allow_reading(ruleset, "/proc");
  allow_reading(ruleset, "/sys");
  const bool done = ::syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
  ::close(ruleset);
  return done;
}

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
constexpr uint32_t kArchitecture = 0;
#endif

// Calls that a child has no use for; they fail with EPERM, as on a system that forbids them. A list of
// what is forbidden rather than of what is allowed: the C library may choose other calls tomorrow.
constexpr std::array kForbidden = {
    SYS_socket, SYS_socketpair, SYS_connect, SYS_bind,     SYS_listen,  SYS_accept4,
    SYS_execve, SYS_execveat,   SYS_ptrace,  SYS_process_vm_readv, SYS_process_vm_writev,
    SYS_mount,  SYS_umount2,    SYS_chroot,  SYS_pivot_root,       SYS_setns,  SYS_unshare,
    SYS_bpf,    SYS_keyctl,     SYS_add_key, SYS_request_key,      SYS_init_module,
    SYS_finit_module,           SYS_kexec_load, SYS_reboot,        SYS_swapon, SYS_swapoff,
    SYS_perf_event_open,        SYS_userfaultfd, SYS_io_uring_setup,
};

bool restrict_calls() noexcept {
  if (kArchitecture == 0) return false;
  constexpr size_t kHead = 4, kCalls = kForbidden.size();
  std::array<sock_filter, kHead + kCalls + 2> program = {};
  const auto load = [](uint32_t offset) {
    return sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, offset};
  };
  program[0] = load(offsetof(seccomp_data, arch));
  program[1] = {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, kArchitecture};
  program[2] = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS};  // a foreign calling convention
  program[3] = load(offsetof(seccomp_data, nr));
  for (size_t i = 0; i < kCalls; ++i)
    program[kHead + i] = {BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint8_t>(kCalls - i), 0,
                          static_cast<uint32_t>(kForbidden[i])};
  program[kHead + kCalls] = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
  program[kHead + kCalls + 1] = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM};
  const sock_fprog filter = {.len = static_cast<unsigned short>(program.size()),
                             .filter = program.data()};
  return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

}  // namespace

std::string SandboxReport::text() const {
  if (files && syscalls) return "files and system calls restricted";
  if (files) return "files restricted; this kernel has no seccomp";
  if (syscalls) return "system calls restricted; this kernel has no Landlock, so files are not";
  return "not restricted: this kernel has neither Landlock nor seccomp";
}

SandboxReport enter_sandbox() noexcept {
  const rlimit no_core = {0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  SandboxReport report;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return report;
  report.files = restrict_files();
  report.syscalls = restrict_calls();
  return report;
}

}  // namespace cria
