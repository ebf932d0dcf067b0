// model/kernels/linear.h: products of activations with one matrix, y = x W^T + b, forward and
// backward, on raw pointers. W is read where it lies, in its stored dtype. A row's bits depend on
// nothing but the row and W. Legend: T rows, D width in, N width out.
#pragma once
#include "model/kernels/moe.h"

namespace polygraft::kernels {

/// Rows of float32 at any stride.
struct Rows {
  float* data = nullptr;
  int64_t stride = 0;  ///< elements

  float* row(int64_t i) const { return data + i * stride; }
};

struct LinearShape {
  int64_t num_rows = 0, width_in = 0, width_out = 0;
};

/// out [T, N] = x [T, D] W^T + bias. @param bias [N] float32, or null.
void linear_forward(const Runner& runner, const LinearShape& shape, const Rows& x,
                    const Matrix& weight, const float* bias, const Rows& out);

/// d_x [T, D] = d_out [T, N] W; or added to what is there.
void linear_input_gradient(const Runner& runner, const LinearShape& shape, const Rows& d_out,
                           const Matrix& weight, const Rows& d_x, bool accumulate = false);

/// d_weight [N, D] = d_out^T x, summed over rows in their order; or added to what is there.
void linear_weight_gradient(const Runner& runner, const LinearShape& shape, const Rows& d_out,
                            const Rows& x, float* d_weight, bool accumulate);

}  // namespace polygraft::kernels
