// model/kernels/rows.h: what happens to each row of activations alone: RMSNorm forward and
// backward, and rotary embedding, float32, on raw pointers. A row's bits depend on that row and the
// parameters. Legend: R rows, D width, T tokens, H heads, C channels of a head.
#pragma once
#include "model/kernels/moe.h"

namespace polygraft::kernels {

struct NormShape {
  int64_t num_rows = 0, width = 0;
};

/// y [R, D] = x r w. @param inverse [R], r of each row, written here; null: not wanted.
void rms_norm_forward(const Runner& runner, const NormShape& shape, const float* x,
                      const float* weight, float eps, float* y, float* inverse);

/// d_x [R, D]. @param inverse from rms_norm_forward().
void rms_norm_input_gradient(const Runner& runner, const NormShape& shape, const float* x,
                             const float* weight, const float* inverse, const float* d_y,
                             float* d_x);

struct RotaryShape {
  int64_t num_tokens = 0, num_heads = 0, head_dim = 0;
};

/// y [T, H, C] from x [T, H, C]. @param cos, sin [T, C]. @param turn 1, or -1: the transpose.
void rotate_heads(const Runner& runner, const RotaryShape& shape, const float* x, const float* cos,
                  const float* sin, float turn, float* y);

}  // namespace polygraft::kernels
