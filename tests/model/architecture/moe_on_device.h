// tests/model/architecture/moe_on_device.h: one sparse mixture-of-experts layer in bfloat16 without
// autograd, forward and explicit backward: device_routing.h, then device_experts.h. Never waits for
// the GPU. The transformer's own layer is these parts under autograd (device_layer.h). Legend: see
// device_experts.h.
#pragma once
#include "model/architecture/device_experts.h"
#include "model/architecture/device_routing.h"

namespace polygraft::model {

struct DeviceMoe {
  at::Tensor router_base_ED;   ///< bfloat16
  at::Tensor router_added_nD;  ///< bfloat16; undefined without added experts
  DeviceExperts experts;
  RouterRule rule;
};

struct DeviceMoeSaved {
  at::Tensor x_TD, base_TE, added_Tn;
  DeviceRouting routing;
  DeviceExpertsSaved experts;
  RouterTerms terms;
};

/// The loss's gradient in what forward returned.
struct DeviceMoeLossGradient {
  at::Tensor d_y_TD;                                 ///< bfloat16
  at::Tensor d_prior_sum = {}, d_load_balance = {};  ///< as DeviceRoutingGradient's
};

/// Gradients of the input and of what trains; those of added experts undefined when there are none.
struct DeviceMoeGradients {
  at::Tensor d_x_TD;                                 ///< bfloat16
  at::Tensor d_router_added_nD;                      ///< float32
  at::Tensor d_gate_up_added_nGD, d_down_added_nDF;  ///< bfloat16, sums in float32
};

/// @param x_TD bfloat16. @return y_TD, bfloat16; the terms are in saved.routing. @throws as the
/// parts do.
at::Tensor forward_on_device(device::Executor& executor, const DeviceMoe& layer,
                             const at::Tensor& x_TD, const RouterTerms& terms,
                             DeviceMoeSaved& saved);

DeviceMoeGradients backward_on_device(device::Executor& executor, const DeviceMoe& layer,
                                      const DeviceMoeSaved& saved,
                                      const DeviceMoeLossGradient& gradient);

}  // namespace polygraft::model
