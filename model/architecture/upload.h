// model/architecture/upload.h: what the CPU makes of a batch (ids, positions, tables), sent to where
// the model is.
#pragma once
#include <ATen/ATen.h>

namespace polygraft::model {

/// The tensor on `device`; itself where it is there already. A GPU that has other work goes on with
/// it, and nobody waits: memory that is not pinned has been read when this returns.
inline at::Tensor sent_to(at::Device device, const at::Tensor& tensor) {
  return tensor.to(tensor.options().device(device), /*non_blocking=*/true);
}

}  // namespace polygraft::model
