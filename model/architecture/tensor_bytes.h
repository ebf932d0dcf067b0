// model/architecture/tensor_bytes.h: a contiguous tensor's memory.
#pragma once
#include <ATen/core/Tensor.h>

#include <string_view>

#include "model/parallel/communicator.h"

namespace polygraft::model {

/// To be sent, or filled with what is received; none of an undefined one.
inline parallel::Bytes bytes_of(const at::Tensor& tensor) {
  if (!tensor.defined()) return {};
  TORCH_CHECK(tensor.is_contiguous(), "only a contiguous tensor lies in one piece");
  return {static_cast<std::byte*>(tensor.mutable_data_ptr()), tensor.nbytes()};
}

/// To be written or hashed. @param tensor in the CPU's memory.
inline std::string_view stored_bytes(const at::Tensor& tensor) {
  TORCH_CHECK(tensor.is_contiguous(), "only a contiguous tensor lies in one piece");
  return {static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes()};
}

}  // namespace polygraft::model
