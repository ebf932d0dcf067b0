// tests/model/architecture/device_moe_case.h: a small MoE layer, run by any executor on any device,
// and compared with float64 autograd on the CPU. Legend: see device_experts.h.
#pragma once
#include <ATen/ATen.h>

#include "tests/model/architecture/moe_on_device.h"

namespace polygraft::testing {

struct DeviceMoeCase {
  int64_t tokens, width, expert_width, base, added, top_k;
  bool renormalize = true;
  int64_t num_balanced = 0;
  bool balance_base = false;
  bool has_prior = false;
};

const std::vector<DeviceMoeCase>& device_moe_cases();

/// Runs both directions; requires agreement with the reference within bfloat16's tolerance.
/// @return all results, on the CPU, for comparisons bit by bit.
std::vector<at::Tensor> check_device_moe(device::Executor& executor, at::Device device,
                                         const DeviceMoeCase& c);

}  // namespace polygraft::testing
