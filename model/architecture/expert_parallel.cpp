// model/architecture/expert_parallel.cpp: see expert_parallel.h. What the kernels call an expert is
// here a piece of work: the rows that one expert has from all ranks, or, where its weights train,
// from one, so that each source's gradient is a sum of its own. What they call a token's slots is
// one slot, which is returned as it is.
#include "model/architecture/expert_parallel.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include <algorithm>

#include "model/architecture/expert_exchange.h"
#include "model/architecture/kernel_call.h"
#include "model/architecture/maybe_tensor.h"
#include "model/architecture/moe_kernel_call.h"
#include "model/architecture/sorted_slots.h"

namespace polygraft::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Rows that one expert of this rank has from some sources.
struct Work {
  size_t expert = 0;  // of this rank's
  size_t first_source = 0, num_sources = 0;
};

/// One layer on its way: what forward leaves for backward.
struct Call : torch::CustomClassHolder {
  ExpertParallel* parallel = nullptr;
  SplitRows gate_up, down;
  DealtExperts dealt;
  std::unique_ptr<ExpertExchange> exchange;
  std::vector<Work> works;
  kernels::MoeLayer layer;
  std::vector<int64_t> first_row, token_of_row, slot_of_row,
      row_of_slot;  // which `layer` points to
  std::vector<float> weight_S;
  at::Tensor gate_up_SG;

  int64_t id_of(size_t expert) const { return exchange->own_experts()[expert]; }
  bool is_base(size_t expert) const { return id_of(expert) < dealt.num_base; }
  /// The two tensors that hold an expert of this rank.
  const at::Tensor& gate_up_of(size_t expert) const {
    return is_base(expert) ? gate_up.base : gate_up.added;
  }
  const at::Tensor& down_of(size_t expert) const {
    return is_base(expert) ? down.base : down.added;
  }
};

std::vector<Work> cut_works(const Call& call, size_t num_experts) {
  const auto num_sources = static_cast<size_t>(call.parallel->group().size());
  std::vector<Work> works;
  for (size_t e = 0; e < num_experts; ++e) {
    const bool by_source = trains(call.gate_up_of(e)) || trains(call.down_of(e));
    if (!by_source) works.push_back({e, 0, num_sources});
    for (size_t source = 0; by_source && source < num_sources; ++source)
      works.push_back({e, source, 1});
  }
  return works;
}

/// Rows are numbered work after work, a work's source after source.
void number_rows(Call& call) {
  const Arrivals& arrivals = call.exchange->arrivals();
  const at::Tensor came = call.exchange->take_notes();
  const auto* notes = static_cast<const device::SlotNote*>(came.const_data_ptr());
  std::vector<std::vector<int64_t>> slot_of_expert;  // [source][expert]: its first slot
  for (size_t source = 0; source < arrivals.rows_of_expert.size(); ++source) {
    auto& slots = slot_of_expert.emplace_back();
    int64_t slot = arrivals.first_slot[source];
    for (const int64_t count : arrivals.rows_of_expert[source]) {
      slots.push_back(slot);
      slot += count;
    }
  }
  const auto num_slots = static_cast<size_t>(arrivals.num_slots());
  call.row_of_slot.resize(num_slots);
  for (const Work& work : call.works) {
    call.first_row.push_back(static_cast<int64_t>(call.slot_of_row.size()));
    for (size_t source = work.first_source; source < work.first_source + work.num_sources;
         ++source) {
      const int64_t first = slot_of_expert[source][work.expert];
      const int64_t end = first + arrivals.rows_of_expert[source][work.expert];
      for (int64_t slot = first; slot < end; ++slot) {
        call.row_of_slot[static_cast<size_t>(slot)] = static_cast<int64_t>(call.slot_of_row.size());
        call.slot_of_row.push_back(slot);
        call.token_of_row.push_back(arrivals.first_token[source] + notes[slot].token);
      }
    }
  }
  call.first_row.push_back(static_cast<int64_t>(call.slot_of_row.size()));
  for (size_t slot = 0; slot < num_slots; ++slot) call.weight_S.push_back(notes[slot].weight);
}

void lay_out(Call& call, int64_t width) {
  call.works = cut_works(call, call.exchange->own_experts().size());
  number_rows(call);
  call.layer.num_tokens = call.exchange->arrivals().num_slots();
  call.layer.top_k = 1;
  call.layer.width = width;
  call.layer.expert_width = call.down.base.size(2);
  for (const Work& work : call.works) {
    call.layer.experts.push_back(expert_matrices(call.gate_up, call.down, call.id_of(work.expert)));
  }
  call.layer.num_active = static_cast<int64_t>(call.works.size());
  call.layer.first_row = call.first_row.data();
  call.layer.token_of_row = call.token_of_row.data();
  call.layer.slot_of_row = call.slot_of_row.data();
  call.layer.row_of_slot = call.row_of_slot.data();
}

at::Tensor compute_forward(Call& call) {
  const at::Tensor& x_UD = call.exchange->tokens();
  const int64_t num_slots = call.layer.num_tokens;
  call.gate_up_SG = new_gate_up(num_slots, call.gate_up.base.size(1));
  auto out_SD = at::empty({num_slots, x_UD.size(1)}, x_UD.options());
  call.layer.weight = nullptr;  // ones: the slot's own rank weights it
  kernels::moe_forward(kernel_runner(), call.layer, x_UD.const_data_ptr<float>(),
                       as_gate_up(call.gate_up_SG), out_SD.mutable_data_ptr<float>());
  return out_SD;
}

/// Where a bank's gradients go: those of this rank's slice of it, which is what it was dealt if the
/// bank trains.
class GradientPlaces {
 public:
  GradientPlaces(ExpertParallel& parallel, const at::Tensor& bank, int64_t first_id) {
    if (!trains(bank)) return;
    const auto slice =
        parallel::slice_of(bank.size(0), parallel.group().rank(), parallel.group().size());
    first_id_ = first_id + slice.first;
    by_source_ = &parallel.new_gradients(bank, slice.count);
  }

  float* of(const Work& work, int64_t id) const {
    if (by_source_ == nullptr) return nullptr;
    return (*by_source_)[work.first_source].select(0, id - first_id_).mutable_data_ptr<float>();
  }

 private:
  int64_t first_id_ = 0;
  std::vector<at::Tensor>* by_source_ = nullptr;
};

/// Where each work's weight gradients go.
std::vector<kernels::ExpertGradients> destinations(Call& call) {
  const auto places = [&](const at::Tensor& bank, int64_t first_id) {
    return GradientPlaces(*call.parallel, bank, first_id);
  };
  const int64_t num_base = call.dealt.num_base;
  const auto base_gate_up = places(call.gate_up.base, 0), base_down = places(call.down.base, 0);
  const auto added_gate_up = places(call.gate_up.added, num_base),
             added_down = places(call.down.added, num_base);
  std::vector<kernels::ExpertGradients> gradients;
  for (const Work& work : call.works) {
    const int64_t id = call.id_of(work.expert);
    const bool is_base = call.is_base(work.expert);
    gradients.push_back({(is_base ? base_gate_up : added_gate_up).of(work, id),
                         (is_base ? base_down : added_down).of(work, id)});
  }
  return gradients;
}

/// out_t = sum over k, in order, of weight * row of slot (t, k). @param weight_TK undefined: ones.
at::Tensor combine(const ExpertExchange& exchange, const at::Tensor& rows_RD, int64_t top_k,
                   const at::Tensor& weight_TK) {
  constexpr int64_t kTokensPerTask = 64;
  const int64_t width = rows_RD.size(1), num_tokens = rows_RD.size(0) / top_k;
  auto out_TD = at::empty({num_tokens, width}, rows_RD.options());
  const float* rows = rows_RD.const_data_ptr<float>();
  const float* weight = weight_TK.defined() ? weight_TK.const_data_ptr<float>() : nullptr;
  const int64_t* place = exchange.place_of_slot().const_data_ptr<int64_t>();
  float* out = out_TD.mutable_data_ptr<float>();
  const kernels::Runner runner = kernel_runner();
  const int64_t num_tasks = (num_tokens + kTokensPerTask - 1) / kTokensPerTask;
  runner.threads.run(num_tasks, [&](int64_t task) {
    std::vector<const float*> parts(static_cast<size_t>(top_k));
    const int64_t end = std::min((task + 1) * kTokensPerTask, num_tokens);
    for (int64_t token = task * kTokensPerTask; token < end; ++token) {
      const int64_t slot = token * top_k;
      for (int64_t k = 0; k < top_k; ++k)
        parts[static_cast<size_t>(k)] = rows + place[slot + k] * width;
      runner.operations.combine(parts.data(), weight == nullptr ? nullptr : weight + slot, top_k,
                                width, out + token * width);
    }
  });
  return out_TD;
}

struct ExpertParallelFunction : torch::autograd::Function<ExpertParallelFunction> {
  /// The tokens themselves are on their way already; they are here for the graph.
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& /*x_TD*/,
                            const at::Tensor& weight_TK, const c10::intrusive_ptr<Call>& call) {
    ctx->saved_data["call"] = c10::IValue::make_capsule(call);
    ctx->saved_data["top_k"] = weight_TK.size(1);
    SentRows rows_RD = call->exchange->send_back(compute_forward(*call));
    return combine(*call->exchange, rows_RD.arrived(), weight_TK.size(1), weight_TK.detach());
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto call = c10::static_intrusive_pointer_cast<Call>(ctx->saved_data["call"].toCapsule());
    const int64_t top_k = ctx->saved_data["top_k"].toInt();
    ctx->saved_data.clear();  // what forward left goes with this layer, not with the whole graph
    ExpertExchange& exchange = *call->exchange;
    const at::Tensor& x_UD = exchange.tokens();
    SentRows sent_d_out = exchange.send(grads[0].contiguous());
    const at::Tensor& d_out_UD = sent_d_out.arrived();
    const int64_t num_slots = call->layer.num_tokens;
    auto d_weight_S = at::empty({num_slots}, x_UD.options());
    const bool wants_d_x = exchange.arrivals().any_wants_d_x;
    auto d_x_SD = at::empty({wants_d_x ? num_slots : 0, x_UD.size(1)}, x_UD.options());
    call->layer.weight = call->weight_S.data();
    kernels::moe_backward(
        kernel_runner(), call->layer,
        {x_UD.const_data_ptr<float>(), d_out_UD.const_data_ptr<float>(),
         as_gate_up(call->gate_up_SG), d_weight_S.mutable_data_ptr<float>(),
         wants_d_x ? d_x_SD.mutable_data_ptr<float>() : nullptr, destinations(*call)});
    variable_list result(3);
    SentRows d_weight_R = exchange.send_back(d_weight_S);
    if (wants_d_x) {
      SentRows d_rows_RD = exchange.send_back(d_x_SD);
      result[0] = combine(exchange, d_rows_RD.arrived(), top_k, {});
    }
    result[1] = exchange.by_token(d_weight_R.arrived(), top_k);
    return result;
  }
};

}  // namespace

at::Tensor ExpertParallel::experts(const at::Tensor& x_TD, const Routing& routing,
                                   const SplitRows& gate_up, const SplitRows& down,
                                   const Meanwhile& meanwhile) {
  TORCH_INTERNAL_ASSERT(x_TD.scalar_type() == at::kFloat);
  auto call = c10::make_intrusive<Call>();
  call->parallel = this;
  call->gate_up = gate_up;
  call->down = down;
  call->dealt = {gate_up.num_base(), gate_up.num_added(), trains(gate_up.base) || trains(down.base),
                 trains(gate_up.added) || trains(down.added)};
  const auto slots = sort_slots(routing.expert_TK, call->dealt.size());
  const auto x = x_TD.contiguous(), weight_TK = routing.weight_TK.contiguous();
  auto plan = plan_exchange(group_, call->dealt, slots, weight_TK.detach(), x_TD.requires_grad());
  call->exchange = std::make_unique<ExpertExchange>(group_, std::move(plan), x.detach());
  meanwhile();
  lay_out(*call, x_TD.size(1));
  return ExpertParallelFunction::apply(x, weight_TK, call);
}

std::vector<at::Tensor>& ExpertParallel::new_gradients(const at::Tensor& bank,
                                                       int64_t num_experts) {
  auto shape = bank.sizes().vec();
  shape[0] = num_experts;
  std::vector<at::Tensor> by_source;
  for (int source = 0; source < group_.size(); ++source) {
    by_source.push_back(at::empty(shape, bank.options().requires_grad(false)));
  }
  keep_gradients(bank, std::move(by_source));
  return gradients_.at(bank.unsafeGetTensorImpl());
}

void ExpertParallel::keep_gradients(const at::Tensor& bank, std::vector<at::Tensor> by_source) {
  const bool is_new = gradients_.emplace(bank.unsafeGetTensorImpl(), std::move(by_source)).second;
  TORCH_INTERNAL_ASSERT(is_new, "a bank's gradients were not cleared");
}

at::Tensor ExpertParallel::gradient(const at::Tensor& bank, int source) const {
  const auto found = gradients_.find(bank.unsafeGetTensorImpl());
  return found == gradients_.end() ? at::Tensor() : found->second[static_cast<size_t>(source)];
}

}  // namespace polygraft::model
