// model/architecture/device_sort.h: slots (token, k) sorted by group with the bodies of
// model/device/row_sort.h; counts stay on the GPU. Legend: K slots of a token, R slots, N groups.
#pragma once
#include <ATen/ATen.h>

#include "model/device/executor.h"

namespace polygraft::model {

/// As SortedSlots, int32, on the GPU.
struct DeviceSortedSlots {
  at::Tensor first_row;  ///< [N + 1]
  at::Tensor row_of_slot, slot_of_row, token_of_row;
};

/// Stable in slot order. @param expert_R int32, contiguous, slots token after token.
/// @throws ConfigError for more rows than an int32 counts.
DeviceSortedSlots sort_slots_on_device(device::Executor& executor, const at::Tensor& expert_R,
                                       device::Groups groups, int64_t top_k);

/// out[i] = in[0] + .. + in[i - 1] of each row, and the row's sum.
struct DeviceSums {
  at::Tensor before, total;
};

/// @param in_GC int32, contiguous; becomes `before`.
DeviceSums sums_before(device::Executor& executor, const at::Tensor& in_GC);

/// int32 [n + 1]: where each of n parts begins, and their sum. @param size_n int32.
at::Tensor firsts_of(device::Executor& executor, const at::Tensor& size_n);

}  // namespace polygraft::model
