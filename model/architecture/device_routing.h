// model/architecture/device_routing.h: from router scores to chosen experts and weights with the
// bodies of model/device, with the two terms that they make in the same pass; forward and explicit
// backward. The mathematics is routing.cpp's and router_terms.h's. Nothing waits for the GPU.
// Legend: T tokens, E base experts, n added, N = E + n, K experts per token.
#pragma once
#include <ATen/ATen.h>

#include "model/architecture/router_terms.h"
#include "model/device/executor.h"

namespace polygraft::model {

struct DeviceRouting {
  at::Tensor expert_TK;     ///< int32; base experts first (0..E-1), then added
  at::Tensor weight_TK;     ///< float32
  at::Tensor is_finite_T;   ///< uint8: whether a token's scores are; the caller looks when it likes
  at::Tensor prior_sum;     ///< float32 scalar; undefined without that term
  at::Tensor load_balance;  ///< float32 scalar; undefined without it
  at::Tensor base_log_sum_T, added_log_sum_T, share_N;  ///< for the way back
};

/// float32 scores, contiguous; `added_Tn` undefined without added experts.
struct DeviceScores {
  const at::Tensor& base_TE;
  const at::Tensor& added_Tn;
};

/// @throws ConfigError for more experts than the bodies do.
DeviceRouting route_on_device(device::Executor& executor, const DeviceScores& scores,
                              const RouterRule& rule, const RouterTerms& terms);

/// The loss's gradient in what route_on_device() returned, float32.
struct DeviceRoutingGradient {
  at::Tensor d_weight_TK;
  at::Tensor d_prior_sum = {}, d_load_balance = {};  ///< scalars; undefined: nothing asks for it
};

struct DeviceScoreGradients {
  at::Tensor d_base_TE, d_added_Tn;  ///< float32
  at::Tensor d_prior_Tn;             ///< for the added rows alone; undefined without d_prior_sum
};

DeviceScoreGradients route_backward_on_device(device::Executor& executor,
                                              const DeviceScores& scores, const RouterRule& rule,
                                              const RouterTerms& terms,
                                              const DeviceRouting& routing,
                                              const DeviceRoutingGradient& gradient);

}  // namespace polygraft::model
