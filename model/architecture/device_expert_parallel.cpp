// model/architecture/device_expert_parallel.cpp: see device_expert_parallel.h. What
// device_experts.h calls a token is here a slot that came, with its one expert and a weight of one:
// the slot's own rank weights it. Legend: S slots that came, U tokens that they came with, n added
// experts of this rank, g sources.
#include "model/architecture/device_expert_parallel.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include "model/architecture/device_exchange_plan.h"
#include "model/architecture/device_experts.h"
#include "model/architecture/expert_exchange.h"
#include "model/architecture/maybe_tensor.h"
#include "model/architecture/upload.h"

namespace polygraft::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// int32 [n g]: where an added expert's rows from a source end among the added experts' of this
/// rank, sorted.
at::Tensor ends_by_source(const Arrivals& arrivals, int64_t num_base, at::Device device) {
  std::vector<int32_t> ends;
  int64_t end = 0;
  const size_t num_experts = arrivals.rows_of_expert.front().size();
  for (auto e = static_cast<size_t>(num_base); e < num_experts; ++e) {
    for (const std::vector<int64_t>& rows : arrivals.rows_of_expert)
      ends.push_back(static_cast<int32_t>(end += rows[e]));
  }
  return sent_to(device, at::tensor(ends, at::kInt));
}

/// One layer on its way: what forward leaves for backward.
struct SharedCall : torch::CustomClassHolder {
  device::Executor* executor = nullptr;
  ExpertParallel* parallel = nullptr;
  SplitRows gate_up, down;
  std::unique_ptr<ExpertExchange> exchange;
  CameSlots slots;
  DeviceExpertsSaved saved;

  int64_t num_slots() const { return exchange->arrivals().num_slots(); }
  DeviceExperts own() const { return {gate_up.bank, down.bank, gate_up.num_added_in_bank()}; }
  bool any_trains() const { return trains(gate_up.added) || trains(down.added); }
  /// Rows that have come back, summed. @param weight_TK undefined: ones.
  at::Tensor combine(const at::Tensor& rows_RD, const at::Tensor& weight_TK, int64_t top_k) const {
    return sum_slots_on_device(*executor, rows_RD, exchange->place_of_slot(), weight_TK, top_k);
  }
};

/// Before products of groups whose sizes the CPU has to read, on GPUs that have no others.
void wait_where_sizes_are_read(const SharedCall& call) {
  if (!call.executor->has_grouped_products()) call.parallel->group().wait_for_gpu();
}

/// @return for each slot that came, unweighted: [S, D].
at::Tensor compute_slots(SharedCall& call) {
  const at::Tensor& x_UD = call.exchange->tokens();
  call.slots = read_notes(*call.executor, call.exchange->arrivals(), call.exchange->take_notes());
  if (call.num_slots() == 0) return x_UD;
  const at::Tensor ones;
  wait_where_sizes_are_read(call);
  return experts_on_device(*call.executor, call.own(),
                           {x_UD, call.slots.expert_S1, ones, call.slots.token_S}, call.saved);
}

DeviceExpertsGradients differentiate_slots(SharedCall& call, const at::Tensor& d_out_UD) {
  if (call.num_slots() == 0) return {d_out_UD, at::zeros_like(call.slots.weight_S1), {}, {}};
  const at::Tensor& x_UD = call.exchange->tokens();
  const auto ends =
      ends_by_source(call.exchange->arrivals(), call.gate_up.num_base(), x_UD.device());
  wait_where_sizes_are_read(call);
  return experts_backward_on_device(
      *call.executor, call.own(),
      {x_UD, call.slots.expert_S1, call.slots.weight_S1, call.slots.token_S}, call.saved, d_out_UD,
      {call.any_trains(), ends});
}

/// @param sums [n g, ...], experts first; undefined: no slot came.
void keep_gradients(const SharedCall& call, const SplitRows& rows, const at::Tensor& sums) {
  if (!trains(rows.added)) return;
  const int64_t num_own = rows.num_added_in_bank(), num_sources = call.parallel->group().size();
  auto shape = rows.added.sizes().vec();
  shape[0] = num_own;
  std::vector<at::Tensor> by_source;
  for (int64_t source = 0; source < num_sources; ++source) {
    by_source.push_back(sums.defined() ? sums.unflatten(0, {num_own, num_sources}).select(1, source)
                                       : at::zeros({}, rows.bank.options()).expand(shape));
  }
  call.parallel->keep_gradients(rows.added, std::move(by_source));
}

struct SharedExpertsFunction : torch::autograd::Function<SharedExpertsFunction> {
  /// The tokens themselves are on their way already; they are here for the graph.
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& /*x_TD*/,
                            const at::Tensor& weight_TK,
                            const c10::intrusive_ptr<SharedCall>& call) {
    ctx->saved_data["call"] = c10::IValue::make_capsule(call);
    ctx->saved_data["top_k"] = weight_TK.size(1);
    SentRows rows_RD = call->exchange->send_back(compute_slots(*call));
    return call->combine(rows_RD.arrived(), weight_TK.detach(), weight_TK.size(1));
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto call =
        c10::static_intrusive_pointer_cast<SharedCall>(ctx->saved_data["call"].toCapsule());
    const int64_t top_k = ctx->saved_data["top_k"].toInt();
    ctx->saved_data.clear();  // what forward left goes with this layer, not with the whole graph
    ExpertExchange& exchange = *call->exchange;
    SentRows d_out_UD = exchange.send(grads[0].contiguous());
    const DeviceExpertsGradients gradients = differentiate_slots(*call, d_out_UD.arrived());
    keep_gradients(*call, call->gate_up, gradients.d_gate_up_added_nGD);
    keep_gradients(*call, call->down, gradients.d_down_added_nDF);
    variable_list result(3);
    SentRows d_weight_R = exchange.send_back(gradients.d_weight_TK.flatten());
    if (exchange.arrivals().any_wants_d_x) {
      SentRows d_rows_RD = exchange.send_back(gradients.d_x_TD);
      result[0] = call->combine(d_rows_RD.arrived(), {}, top_k);
    }
    result[1] = exchange.by_token(d_weight_R.arrived(), top_k);
    return result;
  }
};

}  // namespace

at::Tensor shared_experts_on(device::Executor& executor, ExpertParallel& parallel,
                             const at::Tensor& x_TD, const Routing& routing,
                             const SplitRows& gate_up, const SplitRows& down, int64_t num_base,
                             bool silence_added, const Meanwhile& meanwhile) {
  auto weight_TK = routing.weight_TK.contiguous();
  if (silence_added) weight_TK = weight_TK.masked_fill(routing.expert_TK.ge(num_base), 0);
  // Slices of all experts, whether they train or not: each GPU has its own alone.
  const DealtExperts dealt{num_base, gate_up.num_added(), true, true};
  const auto x = x_TD.contiguous();
  auto call = c10::make_intrusive<SharedCall>();
  call->executor = &executor;
  call->parallel = &parallel;
  call->gate_up = gate_up;
  call->down = down;
  auto plan =
      plan_exchange_on_device(executor, parallel.group(), dealt,
                              {weight_TK.detach(), routing.expert_TK}, x_TD.requires_grad());
  call->exchange = std::make_unique<ExpertExchange>(parallel.group(), std::move(plan), x.detach());
  meanwhile();
  return SharedExpertsFunction::apply(x, weight_TK, call);
}

}  // namespace polygraft::model
