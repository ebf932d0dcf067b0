// model/device/cuda_launch.cuh: runs a body on a GPU: one kernel for each body, its phases with
// __syncthreads() between. Asynchronous on the stream; nothing here waits for the device.
#pragma once
#include <cuda_runtime.h>

#include <limits>

#include "core/text.h"
#include "model/device/body.h"
#include "model/device/device_error.h"

namespace polygraft::device {

template <int Phase, class Body>
__device__ __forceinline__ void run_phases(const Body& body, Place at,
                                           typename Body::Shared& shared) {
  body.template run<Phase>(at, shared);
  if constexpr (Phase + 1 < Body::kPhases) {
    __syncthreads();
    run_phases<Phase + 1>(body, at, shared);
  }
}

template <class Body>
__global__ void __launch_bounds__(Body::kThreads) run_body(const __grid_constant__ Body body) {
  __shared__ typename Body::Shared shared;
  run_phases<0>(body, Place{static_cast<int64_t>(blockIdx.x), static_cast<int>(threadIdx.x)},
                shared);
}

/// @throws DeviceError with the driver's words.
template <class Body>
void launch_on_cuda(const Body& body, cudaStream_t stream) {
  const int64_t num_blocks = body.num_blocks();
  if (num_blocks == 0) return;
  if (num_blocks > std::numeric_limits<int32_t>::max()) {
    throw DeviceError("kernel launch", concat(num_blocks, " blocks are more than a grid holds"));
  }
  run_body<<<static_cast<unsigned>(num_blocks), Body::kThreads, 0, stream>>>(body);
  const cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess) throw DeviceError("kernel launch", cudaGetErrorString(status));
}

}  // namespace polygraft::device
