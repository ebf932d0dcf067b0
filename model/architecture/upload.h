// model/architecture/upload.h: what the CPU makes of a batch (ids, positions, tables), sent to
// where the model is.
#pragma once
#include <ATen/ATen.h>

namespace polygraft::model {

/// A tensor of the CPU's on `device`; itself where it is there already. A GPU that has other work
/// goes on with it, and nobody waits: it goes by way of pinned memory, which LibTorch keeps until
/// it has arrived. From other memory CUDA copies without waiting but little (64 KiB).
inline at::Tensor sent_to(at::Device device, const at::Tensor& tensor) {
  if (tensor.device() == device) return tensor;
  return tensor.pin_memory().to(device, tensor.scalar_type(), /*non_blocking=*/true);
}

}  // namespace polygraft::model
