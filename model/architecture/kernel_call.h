// model/architecture/kernel_call.h: tensors as model/kernels wants them, and LibTorch's threads
// lent to it.
#pragma once
#include <ATen/ATen.h>

#include "model/kernels/linear.h"

namespace polygraft::model {

/// Whether the kernels multiply with such weights: activations are float32, all is on the CPU, and
/// the processor has a fast path. Depends on no shape, so that a row's bits do not either.
bool suits_kernels(const at::Tensor& weight, at::ScalarType activations);

/// Whether this thread's products round their operands to bfloat16 (kernels::PrecisionScope).
bool rounds_operands();

/// @param matrix 2-D, CPU, elements of a row side by side; it must outlive the result.
kernels::Matrix as_matrix(const at::Tensor& matrix);

/// @param rows float32, 2-D, elements of a row side by side; it must outlive the result.
kernels::Rows as_rows(const at::Tensor& rows);

/// The processor's path on LibTorch's threads.
kernels::Runner kernel_runner();

}  // namespace polygraft::model
