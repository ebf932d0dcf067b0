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

/// What a call needs besides tensors that autograd keeps.
struct RouteCall {
  device::Executor* executor;
  RouterRule rule;
};

struct RouteFunction : torch::autograd::Function<RouteFunction> {
  static variable_list forward(AutogradContext* ctx, const at::Tensor& base_TE,
                               const MaybeTensor& added_Tn, const RouteCall& call) {
    const at::Tensor added = added_Tn.value_or(at::Tensor());
    const auto routing = route_on_device(*call.executor, {base_TE, added}, call.rule, {});
    ctx->save_for_backward({base_TE, added, routing.expert_TK, routing.weight_TK,
                            routing.base_log_sum_T, routing.added_log_sum_T});
    ctx->saved_data["executor"] = reinterpret_cast<int64_t>(call.executor);
    ctx->saved_data["renormalize"] = call.rule.renormalize;
    ctx->mark_non_differentiable({routing.expert_TK});
    return {routing.weight_TK, routing.expert_TK};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    auto& executor = *reinterpret_cast<device::Executor*>(ctx->saved_data["executor"].toInt());
    const RouterRule rule{saved[2].size(1), ctx->saved_data["renormalize"].toBool()};
    DeviceRouting routing;
    routing.expert_TK = saved[2];
    routing.weight_TK = saved[3];
    routing.base_log_sum_T = saved[4];
    routing.added_log_sum_T = saved[5];
    const auto scores = route_backward_on_device(executor, {saved[0], saved[1]}, rule, {}, routing,
                                                 {grads[0].contiguous()});
    return {scores.d_base_TE, saved[1].defined() ? scores.d_added_Tn : at::Tensor(), {}};
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

Routing route_on(device::Executor& executor, const at::Tensor& base_TE, const at::Tensor& added_Tn,
                 RouterRule rule) {
  const auto outputs = RouteFunction::apply(
      base_TE.contiguous(), maybe(added_Tn.defined() ? added_Tn.contiguous() : added_Tn),
      RouteCall{&executor, rule});
  return {outputs[0], outputs[1].to(at::kLong)};
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
