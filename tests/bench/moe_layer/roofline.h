// tests/bench/moe_layer/roofline.h: what this machine can do at most, measured: the shares that the
// bench prints are of these. Units: floating-point operations per second (an addition and a
// multiplication are two), bytes per second.
#pragma once

namespace polygraft::bench {

struct Roofline {
  double fused_multiply_add;  ///< float32, AVX-512F or AVX2, registers alone; 0: neither is here
  double bf16_tiles;          ///< AMX, registers alone; 0: this processor has none
  double memory_read;
};

/// About a second.
Roofline measure_roofline(int num_threads);

}  // namespace polygraft::bench
