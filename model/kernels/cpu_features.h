// model/kernels/cpu_features.h: what this processor and its operating system can run.
#pragma once

namespace polygraft::kernels {

struct CpuFeatures {
  bool avx2 = false;     ///< with FMA and F16C, and registers that the system saves
  bool avx512f = false;  ///< with registers that the system saves
};

/// Asked once.
const CpuFeatures& cpu_features();

}  // namespace polygraft::kernels
