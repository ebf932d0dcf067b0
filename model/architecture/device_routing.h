// model/architecture/device_routing.h: from router scores to chosen experts and weights with the
// bodies of model/device, with the two terms that they make in the same pass; forward and explicit
// backward. The mathematics is routing.cpp's and trainer/objective/router_loss.h's. Nothing waits
// for the GPU. Legend: T tokens, E base experts, n added, N = E + n, K experts per token.
#pragma once
#include <ATen/ATen.h>

#include "model/architecture/moe_layer.h"
#include "model/device/executor.h"

namespace polygraft::model {

/// Which tokens' routing is trained besides the output's own loss; none by default.
struct RouterTerms {
  at::Tensor prior_weight_T;  ///< float32; undefined: no language prior
  int64_t num_balanced = 0;   ///< the first so many tokens are load-balanced
  bool balance_base = false;  ///< over all experts instead of the added ones
};

struct DeviceRouting {
  at::Tensor expert_TK;     ///< int32; base experts first (0..E-1), then added
  at::Tensor weight_TK;     ///< float32
  at::Tensor is_finite_T;   ///< uint8: whether a token's scores are; the caller looks when it likes
  at::Tensor prior;         ///< float32 [1], a sum over tokens; undefined without that term
  at::Tensor load_balance;  ///< float32 [1]; undefined without it
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

/// The loss's gradient in what route_on_device() returned.
struct DeviceRoutingGradient {
  at::Tensor d_weight_TK;  ///< float32
  double prior = 0, load_balance = 0;
};

struct DeviceScoreGradients {
  at::Tensor d_base_TE, d_added_Tn;  ///< float32
  at::Tensor d_prior_Tn;             ///< for the added rows alone; undefined without that term
};

DeviceScoreGradients route_backward_on_device(device::Executor& executor,
                                              const DeviceScores& scores, const RouterRule& rule,
                                              const RouterTerms& terms,
                                              const DeviceRouting& routing,
                                              const DeviceRoutingGradient& gradient);

}  // namespace polygraft::model
