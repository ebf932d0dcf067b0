// model/architecture/maybe_tensor.h: tensors that may be absent, as autograd functions take them:
// these know no undefined tensor among their inputs.
#pragma once
#include <ATen/ATen.h>

#include <optional>

namespace polygraft::model {

using MaybeTensor = std::optional<at::Tensor>;

inline MaybeTensor maybe(const at::Tensor& tensor) {
  return tensor.defined() ? MaybeTensor(tensor) : std::nullopt;
}

/// Whether it is there, and trains.
inline bool trains(const at::Tensor& tensor) { return tensor.defined() && tensor.requires_grad(); }
inline bool trains(const MaybeTensor& tensor) { return tensor && tensor->requires_grad(); }

}  // namespace polygraft::model
