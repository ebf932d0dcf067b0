// expand/rounded_bytes.h: made rows as a folder stores them.
#pragma once
#include <ATen/ATen.h>

#include <string>

#include "model/architecture/tensor_bytes.h"
#include "model/architecture/weights.h"

namespace polygraft::expand {

/// Bytes of `made` (any shape, float32) in the stored dtype; a narrower one is rounded to nearest,
/// ties to even.
inline std::string rounded_bytes(const at::Tensor& made, model::Dtype dtype) {
  const at::Tensor rounded = made.to(at::kCPU, model::to_scalar_type(dtype)).contiguous();
  return std::string(model::stored_bytes(rounded));
}

}  // namespace polygraft::expand
