// tests/model/architecture/moe_on_device.cpp: see moe_on_device.h.
#include "tests/model/architecture/moe_on_device.h"

namespace polygraft::model {

at::Tensor forward_on_device(device::Executor& executor, const DeviceMoe& layer,
                             const at::Tensor& x_TD, const RouterTerms& terms,
                             DeviceMoeSaved& saved) {
  saved = {};
  saved.x_TD = x_TD.contiguous();
  saved.terms = terms;
  saved.base_TE = at::mm(saved.x_TD, layer.router_base_ED.t()).to(at::kFloat);
  if (layer.router_added_nD.defined()) {
    saved.added_Tn = at::mm(saved.x_TD, layer.router_added_nD.t()).to(at::kFloat);
  }
  saved.routing = route_on_device(executor, {saved.base_TE, saved.added_Tn}, layer.rule, terms);
  return experts_on_device(executor, layer.experts,
                           {saved.x_TD, saved.routing.expert_TK, saved.routing.weight_TK},
                           saved.experts);
}

DeviceMoeGradients backward_on_device(device::Executor& executor, const DeviceMoe& layer,
                                      const DeviceMoeSaved& saved,
                                      const DeviceMoeLossGradient& gradient) {
  auto experts = experts_backward_on_device(
      executor, layer.experts, {saved.x_TD, saved.routing.expert_TK, saved.routing.weight_TK},
      saved.experts, gradient.d_y_TD, {.wanted = true});
  const auto scores = route_backward_on_device(
      executor, {saved.base_TE, saved.added_Tn}, layer.rule, saved.terms, saved.routing,
      {experts.d_weight_TK, gradient.d_prior_sum, gradient.d_load_balance});
  experts.d_x_TD.addmm_(scores.d_base_TE.to(at::kBFloat16), layer.router_base_ED);
  DeviceMoeGradients gradients{
      experts.d_x_TD, {}, experts.d_gate_up_added_nGD, experts.d_down_added_nDF};
  if (!layer.router_added_nD.defined()) return gradients;
  gradients.d_x_TD.addmm_(scores.d_added_Tn.to(at::kBFloat16), layer.router_added_nD);
  const auto d_rows_Tn = scores.d_prior_Tn.defined() ? at::add(scores.d_added_Tn, scores.d_prior_Tn)
                                                     : scores.d_added_Tn;
  gradients.d_router_added_nD = at::mm(d_rows_Tn.t(), saved.x_TD.to(at::kFloat));
  return gradients;
}

}  // namespace polygraft::model
