// model/architecture/gpu.cpp: see gpu.h.
#include "model/architecture/gpu.h"

#include "core/error.h"
#ifdef POLYGRAFT_WITH_CUDA
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <cstdlib>
#include <string_view>

#include "model/device/cuda_executor.h"
#include "model/device/device_error.h"
#endif

namespace polygraft::model {

#ifdef POLYGRAFT_WITH_CUDA

namespace {

/// Products and sums without atomics or varying splits. cuBLAS reads its variable once, when it
/// starts, and LibTorch refuses products under any other value. An operation that has no such way
/// is an error: with a warning alone attention's gradient takes atomics, too, where it has another
/// way.
void demand_same_bits() {
  const char* workspace = std::getenv("CUBLAS_WORKSPACE_CONFIG");
  const bool suits = workspace != nullptr && std::string_view(workspace) == ":16:8";
  if (!suits) setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/1);
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
}

/// Batches and what experts are sent differ in size from step to step: memory that is kept by size
/// would lie in pieces. Read when the first tensor is made; what the user has set stays.
void let_memory_grow() {
  setenv("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True", /*overwrite=*/0);
}

void require(cudaError_t status) {
  if (status != cudaSuccess) throw device::DeviceError("CUDA", cudaGetErrorString(status));
}

int current_gpu() {
  int index = 0;
  require(cudaGetDevice(&index));
  return index;
}

}  // namespace

void require_gpu() { device::CudaExecutor{nullptr}; }  // says whether there is one

Gpu open_gpu() {
  demand_same_bits();
  let_memory_grow();
  // No stream is LibTorch's default one. First of all this says whether there is a GPU.
  auto executor = std::make_shared<device::CudaExecutor>(nullptr);
  const int index = current_gpu();
  Gpu gpu{at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index)), std::move(executor), {}};
  // What LibTorch keeps of an earlier model is free to be used again.
  if (c10::cuda::CUDACachingAllocator::isEnabled()) c10::cuda::CUDACachingAllocator::emptyCache();
  cudaDeviceProp properties;
  size_t free_bytes = 0, all_bytes = 0;
  require(cudaGetDeviceProperties(&properties, index));
  require(cudaMemGetInfo(&free_bytes, &all_bytes));
  gpu.name = properties.name;
  gpu.free_bytes = static_cast<int64_t>(free_bytes);
  return gpu;
}

void finish_gpu_work() { c10::cuda::getDefaultCUDAStream().synchronize(); }

int64_t peak_gpu_bytes() {
  if (!c10::cuda::CUDACachingAllocator::isEnabled()) return 0;
  const auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return c10::cuda::CUDACachingAllocator::getDeviceStats(
             static_cast<c10::DeviceIndex>(current_gpu()))
      .allocated_bytes[all]
      .peak;
}

#else

void finish_gpu_work() {}

int64_t peak_gpu_bytes() { return 0; }

namespace {

ConfigError without_cuda() {
  return ConfigError("train.device", "this build has no CUDA")
      .expected("cpu")
      .found("cuda")
      .hint("build the preset `cuda` (cmake --preset cuda), which needs nvcc");
}

}  // namespace

void require_gpu() { throw without_cuda(); }

Gpu open_gpu() { throw without_cuda(); }

#endif

}  // namespace polygraft::model
