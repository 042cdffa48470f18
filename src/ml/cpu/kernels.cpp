#include "ml/cpu/kernels.h"

#include "base/error.h"
#include "base/settings.h"

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace cria::ml::cpu {

namespace scalar {
void fill_table(Kernels& table) noexcept;
}
#if defined(__x86_64__)
namespace avx2 {
void fill_table(Kernels& table) noexcept;
}
namespace avx512 {
void fill_table(Kernels& table) noexcept;
}
namespace avx512_bf16 {
void fill_table(Kernels& table, const Kernels& avx512) noexcept;
}  // namespace avx512_bf16
namespace amx {
void fill_table(Kernels& table, const Kernels& avx512) noexcept;
}
#elif defined(__aarch64__)
namespace neon {
void fill_table(Kernels& table) noexcept;
}
namespace neon_dot {
void fill_table(Kernels& table) noexcept;
}
#endif

namespace {

const Kernels& filled(void (*fill)(Kernels&) noexcept, Kernels& storage) {
  fill(storage);
  return storage;
}

#if defined(__x86_64__)
// A process has to ask Linux for the tiles' registers (8 KiB a thread); also says whether Linux and
// the hypervisor know them.
bool may_use_tiles() noexcept {
  constexpr unsigned kTiles = 1u << 24, kInt8 = 1u << 25;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kTiles) == 0 || (d & kInt8) == 0)
    return false;
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // Linux: asm/prctl.h, asm/fpu/types.h
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#endif

void add(KernelList& list, const Kernels& table) {
  CRIA_CHECK(list.size < kMostVariants, "room for every variant");
  list.items[list.size++] = &table;
}

KernelList find_kernels() {
  KernelList list = {};
  static Kernels scalar_table = {};
  add(list, filled(scalar::fill_table, scalar_table));
#if defined(__x86_64__)
  static Kernels avx2_table = {}, avx512_table = {}, bf16_table = {}, amx_table = {};
  const bool avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 &&
                    __builtin_cpu_supports("f16c") != 0;
  if (avx2) add(list, filled(avx2::fill_table, avx2_table));
  const bool avx512 =
      avx2 && __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
      __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
      __builtin_cpu_supports("avx512vnni") != 0;
  if (avx512) add(list, filled(avx512::fill_table, avx512_table));
  const bool bf16 = avx512 && __builtin_cpu_supports("avx512bf16") != 0;
  if (bf16) {
    avx512_bf16::fill_table(bf16_table, avx512_table);
    add(list, bf16_table);
  }
  if (avx512 && may_use_tiles()) {
    amx::fill_table(amx_table, bf16 ? bf16_table : avx512_table);
    add(list, amx_table);
  }
#elif defined(__aarch64__)
  static Kernels neon_table = {}, dot_table = {};
  add(list, filled(neon::fill_table, neon_table));
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0)
    add(list, filled(neon_dot::fill_table, dot_table));
#endif
  return list;
}

}  // namespace

KernelList runnable_kernels() noexcept {
  static const KernelList kList = find_kernels();
  return kList;
}

const Kernels& kernels() {
  const KernelList list = runnable_kernels();
  const std::string wanted = setting("CRIA_CPU");
  if (wanted.empty()) return *list.items[list.size - 1];
  std::string names;
  for (int i = 0; i < list.size; ++i) {
    if (list.items[i]->name == wanted) return *list.items[i];
    names += std::string(i == 0 ? "" : ", ") + list.items[i]->name;
  }
  fail(ErrorKind::kUnsupported, "CRIA_CPU={}: this CPU runs {}", wanted, names);
}

}  // namespace cria::ml::cpu
