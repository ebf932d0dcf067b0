// model/kernels/rows.cpp: see rows.h.
#include "model/kernels/rows.h"

#include "model/kernels/for_rows.h"

namespace polygraft::kernels {

void rms_norm_forward(const Runner& runner, const NormShape& shape, const float* x,
                      const float* weight, float eps, float* y, float* inverse) {
  const int64_t width = shape.width;
  for_rows(runner, shape.num_rows, width, [&](int64_t row) {
    const float r =
        runner.operations.rms_norm({x + row * width, weight, width, eps}, y + row * width);
    if (inverse != nullptr) inverse[row] = r;
  });
}

void rms_norm_input_gradient(const Runner& runner, const NormShape& shape, const float* x,
                             const float* weight, const float* inverse, const float* d_y,
                             float* d_x) {
  const int64_t width = shape.width;
  for_rows(runner, shape.num_rows, width, [&](int64_t row) {
    const int64_t at = row * width;
    runner.operations.rms_norm_backward({x + at, weight, d_y + at, width, inverse[row], d_x + at});
  });
}

void rotate_heads(const Runner& runner, const RotaryShape& shape, const float* x, const float* cos,
                  const float* sin, float turn, float* y) {
  const int64_t dim = shape.head_dim, width = shape.num_heads * dim;
  for_rows(runner, shape.num_tokens, width, [&](int64_t token) {
    for (int64_t at = token * width; at < (token + 1) * width; at += dim) {
      runner.operations.rotate(
          {x + at, cos + token * dim, sin + token * dim, dim / 2, turn, y + at});
    }
  });
}

}  // namespace polygraft::kernels
