// trainer/parallel/tensor_bytes.h: a tensor's memory as a communicator wants it.
#pragma once
#include <ATen/ATen.h>

#include "model/parallel/communicator.h"

namespace polygraft::trainer {

/// @param tensor contiguous, on the CPU or, for a communicator that takes such memory, on a GPU.
inline parallel::Bytes bytes_of(const at::Tensor& tensor) {
  TORCH_INTERNAL_ASSERT(tensor.is_contiguous());
  return {static_cast<std::byte*>(tensor.mutable_data_ptr()), tensor.nbytes()};
}

/// The same of some of its elements.
inline parallel::Bytes bytes_of(const at::Tensor& tensor, parallel::Slice elements) {
  const auto size = static_cast<size_t>(tensor.element_size());
  return bytes_of(tensor).subspan(static_cast<size_t>(elements.first) * size,
                                  static_cast<size_t>(elements.count) * size);
}

}  // namespace polygraft::trainer
