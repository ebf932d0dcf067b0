// model/architecture/device_layer.cpp: see device_layer.h.
#include "model/architecture/device_layer.h"

#include <torch/csrc/autograd/custom_function.h>

#include "model/architecture/device_experts.h"
#include "model/architecture/device_routing.h"
#include "model/architecture/maybe_tensor.h"

namespace polygraft::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// What a call needs besides tensors that get gradients.
struct RouteCall {
  device::Executor* executor;
  RouterRule rule;
  const RouterTerms& terms;
  at::Tensor input_TD;  // of the router
};

struct RouteFunction : torch::autograd::Function<RouteFunction> {
  /// @param added_rows_nD where the prior's gradient goes; its values are in added_Tn.
  /// @return weights and experts, then what was asked for of prior and load balance.
  static variable_list forward(AutogradContext* ctx, const at::Tensor& base_TE,
                               const MaybeTensor& added_Tn, const MaybeTensor& added_rows_nD,
                               const RouteCall& call) {
    const at::Tensor added = added_Tn.value_or(at::Tensor());
    const auto routing = route_on_device(*call.executor, {base_TE, added}, call.rule, call.terms);
    const bool has_prior = routing.prior_sum.defined();
    const bool trains_rows = has_prior && trains(added_rows_nD);
    ctx->save_for_backward({base_TE, added, routing.expert_TK, routing.weight_TK,
                            routing.base_log_sum_T, routing.added_log_sum_T, routing.share_N,
                            trains_rows ? call.terms.prior_weight_T : at::Tensor(),
                            trains_rows ? call.input_TD : at::Tensor()});
    ctx->saved_data["executor"] = reinterpret_cast<int64_t>(call.executor);
    ctx->saved_data["renormalize"] = call.rule.renormalize;
    ctx->saved_data["num_balanced"] = call.terms.num_balanced;
    ctx->saved_data["balance_base"] = call.terms.balance_base;
    ctx->mark_non_differentiable({routing.expert_TK});
    ctx->set_materialize_grads(false);
    variable_list outputs = {routing.weight_TK, routing.expert_TK};
    if (has_prior) outputs.push_back(routing.prior_sum);
    if (routing.load_balance.defined()) outputs.push_back(routing.load_balance);
    return outputs;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    auto& executor = *reinterpret_cast<device::Executor*>(ctx->saved_data["executor"].toInt());
    const RouterRule rule{saved[2].size(1), ctx->saved_data["renormalize"].toBool()};
    const RouterTerms terms{saved[7], ctx->saved_data["num_balanced"].toInt(),
                            ctx->saved_data["balance_base"].toBool()};
    DeviceRouting routing;
    routing.expert_TK = saved[2];
    routing.weight_TK = saved[3];
    routing.base_log_sum_T = saved[4];
    routing.added_log_sum_T = saved[5];
    routing.share_N = saved[6];
    DeviceRoutingGradient gradient{grads[0].defined() ? grads[0].contiguous()
                                                      : at::zeros_like(routing.weight_TK)};
    if (saved[8].defined()) gradient.d_prior_sum = grads[2];
    if (routing.share_N.defined()) gradient.d_load_balance = grads.back();
    const auto scores =
        route_backward_on_device(executor, {saved[0], saved[1]}, rule, terms, routing, gradient);
    at::Tensor d_rows_nD;
    if (scores.d_prior_Tn.defined()) {
      d_rows_nD = at::mm(scores.d_prior_Tn.t(), saved[8].to(at::kFloat));
    }
    return {scores.d_base_TE, saved[1].defined() ? scores.d_added_Tn : at::Tensor(), d_rows_nD, {}};
  }
};

struct ExpertsCall {
  device::Executor* executor;
  DeviceExperts experts;
};

struct DeviceExpertsFunction : torch::autograd::Function<DeviceExpertsFunction> {
  /// @param gate_up_added, down_added float32: where gradients go; the bank has their values.
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_TD,
                            const at::Tensor& weight_TK, const at::Tensor& expert_TK,
                            const MaybeTensor& gate_up_added, const MaybeTensor& down_added,
                            const ExpertsCall& call) {
    DeviceExpertsSaved saved;
    const auto y_TD =
        experts_on_device(*call.executor, call.experts, {x_TD, expert_TK, weight_TK}, saved);
    const DeviceSortedSlots& sorted = saved.sorted;
    ctx->save_for_backward({x_TD, weight_TK, expert_TK, sorted.first_row, sorted.row_of_slot,
                            sorted.slot_of_row, sorted.token_of_row, saved.gate_up_RG,
                            saved.first_row_on_cpu});
    ctx->saved_data["executor"] = reinterpret_cast<int64_t>(call.executor);
    ctx->saved_data["gate_up"] = call.experts.gate_up_NGD;
    ctx->saved_data["down"] = call.experts.down_NDF;
    ctx->saved_data["num_added"] = call.experts.num_added;
    ctx->saved_data["trains"] = trains(gate_up_added) || trains(down_added);
    return y_TD;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto kept = ctx->get_saved_variables();
    auto& executor = *reinterpret_cast<device::Executor*>(ctx->saved_data["executor"].toInt());
    const DeviceExperts experts{ctx->saved_data["gate_up"].toTensor(),
                                ctx->saved_data["down"].toTensor(),
                                ctx->saved_data["num_added"].toInt()};
    const DeviceExpertsSaved saved{{kept[3], kept[4], kept[5], kept[6]}, kept[7], kept[8]};
    const bool wants_matrices = ctx->saved_data["trains"].toBool();
    const auto gradients = experts_backward_on_device(
        executor, experts, {kept[0], kept[2], kept[1]}, saved, grads[0], {wants_matrices});
    const auto master = [](const at::Tensor& gradient) {
      return gradient.defined() ? gradient.to(at::kFloat) : gradient;
    };
    return {gradients.d_x_TD,
            gradients.d_weight_TK,
            {},
            master(gradients.d_gate_up_added_nGD),
            master(gradients.d_down_added_nDF),
            {}};
  }
};

}  // namespace

Routing route_on(device::Executor& executor, const RouterScores& scores, RouterRule rule,
                 const RouterTerms& terms) {
  const bool has_prior = terms.prior_weight_T.defined() && scores.added_Tn.defined();
  const auto outputs = RouteFunction::apply(
      scores.base_TE.contiguous(),
      maybe(scores.added_Tn.defined() ? scores.added_Tn.contiguous() : scores.added_Tn),
      maybe(has_prior ? scores.added_rows_nD : at::Tensor()),
      RouteCall{&executor, rule, terms, has_prior ? scores.input_TD.detach() : at::Tensor()});
  Routing routing{outputs[0], outputs[1].to(at::kLong)};
  if (has_prior) routing.prior_sum = outputs[2];
  if (outputs.size() > (has_prior ? 3u : 2u)) routing.load_balance = outputs.back();
  return routing;
}

at::Tensor moe_experts_on(device::Executor& executor, const at::Tensor& x_TD,
                          const Routing& routing, const SplitRows& gate_up, const SplitRows& down,
                          bool silence_added) {
  auto weight_TK = routing.weight_TK;
  if (silence_added) {
    weight_TK = weight_TK.masked_fill(routing.expert_TK.ge(gate_up.num_base()), 0);
  }
  return DeviceExpertsFunction::apply(
      x_TD.contiguous(), weight_TK.contiguous(), routing.expert_TK.to(at::kInt),
      maybe(gate_up.added), maybe(down.added),
      ExpertsCall{&executor, {gate_up.bank, down.bank, gate_up.num_added()}});
}

}  // namespace polygraft::model
