// tests/cuda/link_check_kernel.h: what the link check asks of the code that nvcc compiled.
#pragma once

namespace polygraft::link_check {

/// Whether this process sees a CUDA device; `reason` names the driver's answer when it sees none.
struct DeviceQuery {
  int num_devices;
  const char* reason;
};
DeviceQuery query_devices();

/// "compute capability 9.0" of the first device, as major * 10 + minor.
int compute_capability();

/// y = 2 x + 1 in bfloat16 on the first device over 1,000 values, compared with the host. @returns
/// the values that differ, or -1 when a CUDA call failed (then printed).
int count_wrong_results();

}  // namespace polygraft::link_check
