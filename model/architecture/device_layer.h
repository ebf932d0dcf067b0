// model/architecture/device_layer.h: routing and experts of a sparse layer on a GPU under autograd,
// with the interface of moe_layer.h: device_routing.h and device_experts.h behind it. Legend: T
// tokens, D model width, E base experts, n added.
#pragma once
#include "model/architecture/router_terms.h"
#include "model/device/executor.h"

namespace polygraft::model {

/// As route() and add_terms(), but for scores that are not finite: nobody waits to see them, and
/// they make the weights or the experts' results, hence the loss, not finite either.
/// @param terms with weights on the GPU.
Routing route_on(device::Executor& executor, const RouterScores& scores, RouterRule rule,
                 const RouterTerms& terms = {});

/// As moe_experts(), in bfloat16. @param gate_up, down with banks (see device_weights.h).
at::Tensor moe_experts_on(device::Executor& executor, const at::Tensor& x_TD,
                          const Routing& routing, const SplitRows& gate_up, const SplitRows& down,
                          bool silence_added = false);

}  // namespace polygraft::model
