// trainer/objective/gradient_scale.h: a tensor whose gradient counts more or less than its value
// does: one loss holds the parts of a model with different weights.
#pragma once
#include <ATen/ATen.h>

namespace polygraft::trainer {

/// The same values. What flows back into `tensor` is `factor` times what arrives.
at::Tensor with_scaled_gradient(const at::Tensor& tensor, double factor);

}  // namespace polygraft::trainer
