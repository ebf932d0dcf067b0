// model/device/cuda_executor.cu: see cuda_executor.h. Every body becomes a kernel here.
#include "model/device/cuda_executor.h"
#include "model/device/cuda_launch.cuh"

namespace polygraft::device {

CudaExecutor::CudaExecutor(cudaStream_t stream) : stream_(stream) {
  int num_devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&num_devices);
  if (status != cudaSuccess || num_devices == 0) {
    throw DeviceError("CUDA", "this machine shows no CUDA device")
        .found(status == cudaSuccess ? "0 devices" : cudaGetErrorString(status))
        .hint("look at nvidia-smi and CUDA_VISIBLE_DEVICES; on CPUs use the preset `release`");
  }
  int gpu = 0, major = 0;
  cudaError_t asked = cudaGetDevice(&gpu);
  if (asked == cudaSuccess)
    asked = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, gpu);
  if (asked != cudaSuccess) throw DeviceError("CUDA", cudaGetErrorString(asked));
  has_grouped_products_ = major >= 9;
}

void CudaExecutor::run(const AnyBody& body) {
  std::visit([this](const auto& one) { launch_on_cuda(one, stream_); }, body);
}

}  // namespace polygraft::device
