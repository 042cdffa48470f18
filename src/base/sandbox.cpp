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

// The kernel's structure as of version 6 of Landlock; our headers may be older than the kernel.
struct LandlockRules {
  uint64_t files = 0, network = 0, scopes = 0;
};
constexpr uint64_t kFirstRights = (uint64_t{1} << 13) - 1;  // version 1
constexpr uint64_t kMoveRight = uint64_t{1} << 13;          // version 2
constexpr uint64_t kTruncateRight = uint64_t{1} << 14;      // version 3
constexpr uint64_t kTcpRights = 3;                          // version 4: bind, connect
constexpr uint64_t kAllScopes = 3;                          // version 6: abstract sockets, signals
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
  const auto version =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 1) return false;
  LandlockRules rules = {.files = kFirstRights};
  if (version >= 2) rules.files |= kMoveRight;
  if (version >= 3) rules.files |= kTruncateRight;
  if (version >= 4) rules.network = kTcpRights;
  if (version >= 6) rules.scopes = kAllScopes;
  const size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
  const auto ruleset = static_cast<int>(::syscall(SYS_landlock_create_ruleset, &rules, size, 0));
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

// Calls that a child has no use for; they fail with EPERM, as on a system that forbids them. A list
// of what is forbidden rather than of what is allowed: the C library may choose other calls
// tomorrow.
constexpr std::array kForbidden = {
    // network
    SYS_socket,
    SYS_socketpair,
    SYS_connect,
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    // other programs and processes
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kill,
    SYS_tkill,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_pidfd_send_signal,
    SYS_pidfd_open,
    SYS_setpriority,
    SYS_perf_event_open,
    // files by name, where Landlock has no right for the change
    SYS_truncate,
    SYS_fchmodat,
    SYS_fchownat,
    SYS_utimensat,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_removexattr,
    SYS_lremovexattr,
    SYS_open_by_handle_at,
#ifdef SYS_chmod  // old calls, which only x86 has
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_utime,
    SYS_utimes,
    SYS_futimesat,
#endif
    // the system
    SYS_mount,
    SYS_umount2,
    SYS_chroot,
    SYS_pivot_root,
    SYS_setns,
    SYS_unshare,
    SYS_bpf,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_init_module,
    SYS_finit_module,
    SYS_kexec_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_userfaultfd,
    SYS_io_uring_setup,
};

constexpr uint32_t kX32Bit = 0x40000000;  // marks calls of x86's second convention
constexpr uint32_t kTypeIntoTerminal = 0x5412, kTypeIntoConsole = 0x541C;  // TIOCSTI, TIOCLINUX

// A BPF program under construction; every test that fails falls through to the next.
class Filter {
 public:
  void load(size_t offset) noexcept {
    add({BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<uint32_t>(offset)});
  }
  void answer(uint32_t action) noexcept { add({BPF_RET | BPF_K, 0, 0, action}); }
  void answer_if_equal(uint32_t value, uint32_t action) noexcept {
    add({BPF_JMP | BPF_JEQ | BPF_K, 0, 1, value});
    answer(action);
  }
  void answer_unless_equal(uint32_t value, uint32_t action) noexcept {
    add({BPF_JMP | BPF_JEQ | BPF_K, 1, 0, value});
    answer(action);
  }
  void answer_if_at_least(uint32_t value, uint32_t action) noexcept {
    add({BPF_JMP | BPF_JGE | BPF_K, 0, 1, value});
    answer(action);
  }
  // Jumps over the next `count` instructions unless the loaded word is `value`.
  void skip_unless_equal(uint32_t value, uint8_t count) noexcept {
    add({BPF_JMP | BPF_JEQ | BPF_K, 0, count, value});
  }
  bool install() const noexcept {
    const sock_fprog program = {.len = static_cast<unsigned short>(size_),
                                .filter = const_cast<sock_filter*>(code_.data())};
    return size_ < code_.size() && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
  }

 private:
  void add(const sock_filter& instruction) noexcept {
    if (size_ < code_.size()) code_[size_++] = instruction;
  }
  std::array<sock_filter, 256> code_ = {};
  size_t size_ = 0;
};

// Little-endian: the low half of an argument comes first.
constexpr size_t argument(size_t index) {
  return offsetof(seccomp_data, args) + 8 * index;
}

bool restrict_calls() noexcept {
  if (kArchitecture == 0) return false;
  constexpr uint32_t kRefuse = SECCOMP_RET_ERRNO | EPERM;
  Filter filter;
  filter.load(offsetof(seccomp_data, arch));
  filter.answer_unless_equal(kArchitecture, SECCOMP_RET_KILL_PROCESS);
  filter.load(offsetof(seccomp_data, nr));
#if defined(__x86_64__)
  filter.answer_if_at_least(kX32Bit, SECCOMP_RET_KILL_PROCESS);
#endif
  for (const long call : kForbidden) filter.answer_if_equal(static_cast<uint32_t>(call), kRefuse);
  // abort() signals its own process, and the C library asks for its own limits: no others.
  filter.skip_unless_equal(SYS_tgkill, 4);
  filter.load(argument(0));
  filter.answer_unless_equal(static_cast<uint32_t>(::getpid()), kRefuse);
  filter.answer(SECCOMP_RET_ALLOW);
  filter.skip_unless_equal(SYS_prlimit64, 4);
  filter.load(argument(0));
  filter.answer_unless_equal(0, kRefuse);
  filter.answer(SECCOMP_RET_ALLOW);
  // The server's terminal may still be this process's stderr: nothing may be typed into it.
  filter.skip_unless_equal(SYS_ioctl, 5);
  filter.load(argument(1));
  filter.answer_if_equal(kTypeIntoTerminal, kRefuse);
  filter.answer_if_equal(kTypeIntoConsole, kRefuse);
  filter.answer(SECCOMP_RET_ALLOW);
  return filter.install();
}

// The sanitizers' own work, such as looking for leaks at exit, needs what the sandbox forbids.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
#else
constexpr bool kSanitized = false;
#endif

}  // namespace

std::string SandboxReport::text() const {
  if (kSanitized) return "not restricted: built with a sanitizer";
  if (files && syscalls) return "files and system calls restricted";
  if (files) return "files restricted; this kernel has no seccomp";
  if (syscalls) return "system calls restricted; this kernel has no Landlock, so files are not";
  return "not restricted: this kernel has neither Landlock nor seccomp";
}

SandboxReport enter_sandbox() noexcept {
  const rlimit no_core = {0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  SandboxReport report;
  if (kSanitized) return report;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return report;
  report.files = restrict_files();
  report.syscalls = restrict_calls();
  return report;
}

}  // namespace cria
