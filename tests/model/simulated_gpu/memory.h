// tests/model/simulated_gpu/memory.h: memory with two addresses for every byte. Tensors know the
// one that nobody may touch, as the CPU may not touch a GPU's; what a GPU does is done by way of
// the other.
#pragma once
#include <ATen/ATen.h>

#include <cstddef>
#include <map>
#include <mutex>
#include <vector>

#include "model/device/access_check.h"

namespace polygraft::testing {

class GpuMemory {
 public:
  /// Of this process: all its simulated GPUs'.
  static GpuMemory& instance();

  /// Nothing in it is a number: all ones are NaN, and -1. @return null when the GPU's is used up.
  void* allocate(size_t num_bytes, int gpu);
  void release(void* data);

  /// Bytes that one GPU's tensors ask for, the most at once since set_limit().
  size_t peak(int gpu);
  /// Of bytes that tensors of one GPU may ask for at once; what they hold is the peak so far.
  void set_limit(int gpu, size_t num_bytes);

  bool contains(const void* data) const;
  bool is_open_side(const void* data) const;
  /// Where the CPU may touch what lies at `data`.
  void* opened(const void* data) const;
  /// As the bodies' executor wants it.
  device::DeviceMemory bounds() const { return {closed_, closed_ + kBytes, open_ - closed_}; }

  static constexpr size_t kBytes = size_t{8} << 30;  // of addresses; what is used takes memory

 private:
  struct Piece {
    size_t num_bytes, rounded;
    int gpu;
  };
  struct Usage {
    size_t now = 0, peak = 0, limit = kBytes;
  };
  GpuMemory();

  std::byte* closed_ = nullptr;
  std::byte* open_ = nullptr;
  std::mutex mutex_;
  size_t given_ = 0;  // addresses that have ever been in use
  std::map<void*, Piece> pieces_;
  std::map<size_t, std::vector<void*>> spare_;  // by size
  std::map<int, Usage> usage_;
};

/// The same bytes as a tensor of the CPU; of none, one that an operation may give some.
at::Tensor opened(const at::Tensor& tensor);

}  // namespace polygraft::testing
