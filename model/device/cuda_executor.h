// model/device/cuda_executor.h: bodies as kernels on one stream of the current GPU. Compiled by
// nvcc in the preset `cuda`.
#pragma once
#include "model/device/executor.h"

struct CUstream_st;  // cudaStream_t, without CUDA's headers

namespace polygraft::device {

/// Starts kernels and returns at once; never waits for the GPU.
class CudaExecutor : public Executor {
 public:
  /// @throws DeviceError when there is no CUDA device.
  explicit CudaExecutor(CUstream_st* stream);
  /// @throws DeviceError when a launch is refused.
  void run(const AnyBody& body) override;
  bool has_grouped_products() const override { return has_grouped_products_; }  ///< from sm_90 on

 private:
  CUstream_st* stream_;
  bool has_grouped_products_ = false;
};

}  // namespace polygraft::device
