// tests/cuda/link_check_kernel.cu: one small kernel, compiled for every architecture of the preset.
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdio>
#include <vector>

#include "tests/cuda/link_check_kernel.h"

namespace polygraft::link_check {
namespace {

__global__ void affine(const __nv_bfloat16* x, __nv_bfloat16* y, int num_values) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < num_values) {
    y[i] = __float2bfloat16(2.0f * __bfloat162float(x[i]) + 1.0f);
  }
}

bool succeeded(cudaError_t status, const char* call) {
  if (status != cudaSuccess) {
    std::fprintf(stderr, "%s: %s\n", call, cudaGetErrorString(status));
  }
  return status == cudaSuccess;
}

bool run_affine(const std::vector<__nv_bfloat16>& x, std::vector<__nv_bfloat16>& y) {
  const size_t num_bytes = x.size() * sizeof(__nv_bfloat16);
  const int num_values = static_cast<int>(x.size());
  __nv_bfloat16* device = nullptr;
  if (!succeeded(cudaMalloc(&device, 2 * num_bytes), "cudaMalloc")) {
    return false;
  }
  bool ok = succeeded(cudaMemcpy(device, x.data(), num_bytes, cudaMemcpyHostToDevice),
                      "cudaMemcpy to the device");
  affine<<<(num_values + 127) / 128, 128>>>(device, device + num_values, num_values);
  ok = ok && succeeded(cudaGetLastError(), "kernel launch");
  ok = ok && succeeded(cudaMemcpy(y.data(), device + num_values, num_bytes, cudaMemcpyDeviceToHost),
                       "cudaMemcpy back");
  return succeeded(cudaFree(device), "cudaFree") && ok;
}

}  // namespace

DeviceQuery query_devices() {
  int num_devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&num_devices);
  return {status == cudaSuccess ? num_devices : 0, cudaGetErrorString(status)};
}

int compute_capability() {
  cudaDeviceProp properties{};
  return succeeded(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties")
             ? properties.major * 10 + properties.minor
             : -1;
}

int count_wrong_results() {
  constexpr int kNumValues = 1000;
  std::vector<__nv_bfloat16> x(kNumValues), y(kNumValues);
  for (int i = 0; i < kNumValues; ++i) {
    x[i] = __float2bfloat16(0.25f *
                            static_cast<float>(i % 64));  // exact in bfloat16, and so is 2 x + 1
  }
  if (!run_affine(x, y)) {
    return -1;
  }
  int num_wrong = 0;
  for (int i = 0; i < kNumValues; ++i) {
    num_wrong += __bfloat162float(y[i]) != 2.0f * __bfloat162float(x[i]) + 1.0f;
  }
  return num_wrong;
}

}  // namespace polygraft::link_check
