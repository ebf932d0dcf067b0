// tests/model/simulated_gpu/simulated_gpu.h: GPUs of this process, for machines without. LibTorch's
// tensors on them are real ones of another device (PrivateUse1): an operation whose operands are
// not all on one GPU is an error, the CPU that touches their memory dies of it, backward runs in a
// thread of its own, and whatever makes the CPU wait for a GPU is counted. What a GPU computes is
// computed by LibTorch on the CPU, and bodies (model/device) by the checking executor. What it is
// not: one does not run ahead of the CPU, and the bits of products are not a GPU's.
#pragma once
#include <string>
#include <vector>

#include "model/architecture/gpu.h"
#include "model/device/host_launch.h"

namespace polygraft::testing {

constexpr int kNumGpus = 8;

at::Device simulated_gpu(int index = 0);

/// @param index of the ranks' GPUs. @param has_grouped_products as from sm_90 on.
model::Gpu open_simulated_gpu(int index = 0,
                              device::ThreadOrder order = device::ThreadOrder::kForward,
                              bool has_grouped_products = true);

/// What the CPU has waited for any simulated GPU for so far, but the `first` times: numbers read,
/// copies that are not told not to wait, operations whose result's size depends on values,
/// exchanges of what lies on GPUs, unless a GPU follows them.
std::vector<std::string> waits_from(size_t first);

/// What the CPU has waited for while this exists.
class WaitWatch {
 public:
  std::vector<std::string> seen() const { return waits_from(first_); }

 private:
  size_t first_ = waits_from(0).size();
};

}  // namespace polygraft::testing
