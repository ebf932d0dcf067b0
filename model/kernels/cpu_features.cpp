// model/kernels/cpu_features.cpp: see cpu_features.h. The compiler's support library asks cpuid,
// and xgetbv for what the operating system saves when it switches threads.
#include "model/kernels/cpu_features.h"

namespace polygraft::kernels {

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = [] {
    CpuFeatures found;
#if defined(__x86_64__)
    __builtin_cpu_init();
    found.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                 __builtin_cpu_supports("f16c");
    found.avx512f = found.avx2 && __builtin_cpu_supports("avx512f");
#endif
    return found;
  }();
  return features;
}

}  // namespace polygraft::kernels
