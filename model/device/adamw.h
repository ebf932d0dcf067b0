// model/device/adamw.h: AdamW over the rows that train; the formula and its order are those of
// trainer/optim/adamw.h (torch's fused kernel):
//   w = w (1 - lr decay);  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
//   w = w - lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
// in float32 on a master copy, of which the working matrix gets the nearest bfloat16. Master copy,
// moments and gradient exist for the n rows that may train; `row` says where each stands in the
// matrix, and a row with none (-1) is left alone: no step, no decay. Legend: n rows, D width.
#pragma once
#include "model/device/number.h"

namespace polygraft::device {

/// One update's numbers, the same for all elements.
struct AdamWStep {
  float step_size = 0;      // lr / (1 - b1^t)
  float kept = 1;           // 1 - lr decay
  float root_of_bias2 = 1;  // sqrt(1 - b2^t)
  float beta1 = 0, beta2 = 0, epsilon = 0;
};

/// @param Gradient BFloat16 (as grouped products give them) or float.
template <class Gradient>
struct AdamWRows {
  static constexpr int kThreads = 256, kPhases = 1;
  struct Shared {};

  View<const Gradient> gradient_nD;
  View<float> master_nD, first_nD, second_nD;
  View<BFloat16> matrix;
  View<const int32_t> row_n;
  int64_t width = 0;
  AdamWStep step;

  POLYGRAFT_BODY int64_t num_blocks() const { return row_n.size; }

  template <int Phase>
  POLYGRAFT_BODY void run(Place at, Shared&) const {
    const int32_t row = row_n.read(at.block);
    if (row < 0) return;
    for (int64_t column = at.thread; column < width; column += kThreads) {
      matrix.write(row * width + column, to_bfloat16(update(at.block * width + column)));
    }
  }

 private:
  POLYGRAFT_BODY float update(int64_t i) const {
    const float gradient = to_float(gradient_nD.read(i));
    const float first = step.beta1 * first_nD.read(i) + (1.0f - step.beta1) * gradient;
    const float second = step.beta2 * second_nD.read(i) + (1.0f - step.beta2) * gradient * gradient;
    const float scale = sqrtf(second) / step.root_of_bias2 + step.epsilon;
    const float kept = master_nD.read(i) * step.kept;
    const float value = kept - step.step_size * (first / scale);
    first_nD.write(i, first);
    second_nD.write(i, second);
    master_nD.write(i, value);
    return value;
  }
};

}  // namespace polygraft::device
