// model/kernels/cpu_features.h: what this processor and its operating system can run.
#pragma once

namespace polygraft::kernels {

struct CpuFeatures {
  bool avx2 = false;     ///< with FMA and F16C, and registers that the system saves
  bool avx512f = false;  ///< with registers that the system saves
  bool amx_bf16 =
      false;  ///< with AVX-512 F, BW, DQ, VL and BF16, and tiles that the system lets us use
};

/// Asked once.
const CpuFeatures& cpu_features();

}  // namespace polygraft::kernels
