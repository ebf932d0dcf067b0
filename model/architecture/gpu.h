// model/architecture/gpu.h: this process's GPU, opened for a model. Only the preset `cuda` has one.
#pragma once
#include <ATen/ATen.h>

#include <memory>
#include <string>

#include "model/device/executor.h"

namespace polygraft::model {

struct Gpu {
  at::Device device;
  std::shared_ptr<device::Executor> executor;  ///< on LibTorch's stream
  std::string name;                            ///< as the driver has it
  int64_t free_bytes = 0;
};

/// @throws ConfigError from a build without CUDA, DeviceError when there is no GPU.
void require_gpu();

/// This process's current GPU: the one that it took as a rank, else the first that it sees.
/// LibTorch is told to give the same bits every time.
/// @throws as require_gpu().
Gpu open_gpu();

/// Until all that was started on it is done.
void finish_gpu_work();

/// The most that LibTorch's allocator has held of the GPU at once; 0 in a build without CUDA.
int64_t peak_gpu_bytes();

}  // namespace polygraft::model
