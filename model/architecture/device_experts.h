// model/architecture/device_experts.h: a layer's experts in bfloat16, forward and explicit
// backward, out of the bodies of model/device and LibTorch's grouped products; the mathematics is
// moe_experts.cpp's. How many rows an expert has stays on the GPU. The same code runs on CPU
// tensors with a device::HostExecutor, which is how it is tested where there is no GPU.
// On GPUs before sm_90 the CPU reads once how many rows each expert has. Legend: T tokens, D
// model width, E base experts, n added, N = n + E, K experts per token, F expert width, G = 2F,
// R = T K rows.
#pragma once
#include <ATen/ATen.h>

#include "model/architecture/device_sort.h"

namespace polygraft::model {

/// All experts' matrices, bfloat16, contiguous, on one device. The added experts come first: their
/// rows are then the first ones after sorting, where the grouped products of weight gradients
/// begin.
struct DeviceExperts {
  at::Tensor gate_up_NGD, down_NDF;
  int64_t num_added = 0;

  int64_t num_experts() const { return gate_up_NGD.size(0); }
};

/// What the backward needs besides its inputs; no product of the experts but [gate | up].
struct DeviceExpertsSaved {
  DeviceSortedSlots sorted;
  at::Tensor gate_up_RG;
  at::Tensor first_row_on_cpu;  ///< undefined where the GPU has grouped products
};

struct DeviceExpertsGradients {
  at::Tensor d_x_TD;                                 ///< bfloat16
  at::Tensor d_weight_TK;                            ///< float32
  at::Tensor d_gate_up_added_nGD, d_down_added_nDF;  ///< bfloat16, sums in float32; or undefined
};

/// What a token batch and its routing are to the experts.
struct DeviceSlots {
  const at::Tensor& x_TD;       ///< bfloat16, contiguous
  const at::Tensor& expert_TK;  ///< int32; base experts first (0..E-1), then added
  const at::Tensor& weight_TK;  ///< float32; forward takes it undefined for ones
  /// int32 [R]: rows of x_TD, where those are not the tokens whose slots these are (a slot that
  /// came from another rank is a token of its own: K = 1). Gradients are of T tokens all the same.
  at::Tensor row_of_x = {};
};

/// @throws ConfigError for a shape that the bodies do not do (widths that are no multiples of
/// eight, too many experts). @return y_TD, bfloat16.
at::Tensor experts_on_device(device::Executor& executor, const DeviceExperts& experts,
                             const DeviceSlots& slots, DeviceExpertsSaved& saved);

/// Whether, and over which rows, gradients of the added experts' matrices are summed.
struct MatrixGradients {
  bool wanted = false;
  /// int32: where each sum's rows end among the added experts', which come first, sorted.
  /// Undefined: a sum for each expert.
  at::Tensor ends = {};
};

/// Matrices' gradients have one for each of the sums, in their order.
DeviceExpertsGradients experts_backward_on_device(
    device::Executor& executor, const DeviceExperts& experts, const DeviceSlots& slots,
    const DeviceExpertsSaved& saved, const at::Tensor& d_y_TD, const MatrixGradients& matrices);

/// y_TD = sum_k weight * rows[row_of_slot[t, k]], in slot order. @param rows_RD bfloat16.
/// @param row_of_slot int32 [R]. @param weight_TK float32; undefined: ones.
at::Tensor sum_slots_on_device(device::Executor& executor, const at::Tensor& rows_RD,
                               const at::Tensor& row_of_slot, const at::Tensor& weight_TK,
                               int64_t top_k);

}  // namespace polygraft::model
