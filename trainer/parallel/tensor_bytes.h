// trainer/parallel/tensor_bytes.h: a tensor's memory, or a part of it, as a communicator wants it.
#pragma once
#include "model/architecture/tensor_bytes.h"
#include "model/parallel/slice.h"

namespace polygraft::trainer {

using model::bytes_of;

/// Of some elements of a contiguous tensor.
inline parallel::Bytes bytes_of(const at::Tensor& tensor, parallel::Slice elements) {
  const auto size = static_cast<size_t>(tensor.element_size());
  return model::bytes_of(tensor).subspan(static_cast<size_t>(elements.first) * size,
                                         static_cast<size_t>(elements.count) * size);
}

}  // namespace polygraft::trainer
