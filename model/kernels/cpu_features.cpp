// model/kernels/cpu_features.cpp: see cpu_features.h. The compiler's support library asks cpuid,
// and xgetbv for what the operating system saves when it switches threads.
#include "model/kernels/cpu_features.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace polygraft::kernels {
namespace {

/// Tiles are 8 KiB of state that Linux saves only for processes that have asked for it (kernel
/// documentation, x86/xstate.rst). Asking counts for all threads, also those to come.
bool may_use_tiles() {
#if defined(__x86_64__) && defined(__linux__)
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  constexpr unsigned kTile = 1U << 24, kTileBf16 = 1U << 22;  // leaf 7, edx
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  if ((edx & kTile) == 0 || (edx & kTileBf16) == 0) return false;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = [] {
    CpuFeatures found;
#if defined(__x86_64__)
    __builtin_cpu_init();
    found.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                 __builtin_cpu_supports("f16c");
    found.avx512f = found.avx2 && __builtin_cpu_supports("avx512f");
    found.amx_bf16 = found.avx512f && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                     __builtin_cpu_supports("avx512bf16") && may_use_tiles();
#endif
    return found;
  }();
  return features;
}

}  // namespace polygraft::kernels
