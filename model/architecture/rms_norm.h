// model/architecture/rms_norm.h: root-mean-square norm (Zhang & Sennrich 2019) as one autograd
// node. y = w * x / sqrt(mean(x^2) + eps) over the last dimension; statistics in float32, rounded
// to x's dtype before w. Reference implementation: transformers 5.23, Qwen3MoeRMSNorm.
#pragma once
#include <ATen/ATen.h>

#include "model/device/executor.h"

namespace polygraft::model {

/// @param x [..., D] float32 or bfloat16. @param weight_D the same dtype. @return the same shape
/// and dtype. Differentiable in both; no gradient is computed for a frozen weight.
/// @param executor of the GPU where x is, or null: LibTorch's operations. A frozen weight's rows of
/// bfloat16, as wide as its bodies take them, go through it.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight_D, double eps,
                    device::Executor* executor = nullptr);

}  // namespace polygraft::model
