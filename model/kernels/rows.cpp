// model/kernels/rows.cpp: see rows.h.
#include "model/kernels/rows.h"

#include <algorithm>

namespace polygraft::kernels {
namespace {

constexpr int64_t kTaskElements = 16384;  // what is worth handing to another thread

/// Calls each(row) for all rows, some at a time.
template <class Each>
void for_rows(const Runner& runner, int64_t num_rows, int64_t width, const Each& each) {
  const int64_t step = std::max<int64_t>(kTaskElements / std::max<int64_t>(width, 1), 1);
  runner.threads.run((num_rows + step - 1) / step, [&](int64_t task) {
    const int64_t end = std::min(num_rows, (task + 1) * step);
    for (int64_t row = task * step; row < end; ++row) each(row);
  });
}

}  // namespace

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
