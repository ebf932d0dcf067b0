// model/architecture/moe_experts.cpp: the experts of one layer, forward and explicit backward; see
// moe_layer.h. float32 activations go through moe_kernel_call.h where the processor has a fast
// path; the plain form is here. Slots (token, k) are sorted by expert, stable in token order, so
// that every expert's rows are one slice:
//   X = x[token of row];  [g | u] = X W1^T;  H = silu(g) * u;  Y = H W2^T;  y_t = sum_k weight *
//   Y[row of (t, k)]
// Backward keeps [g | u] and recomputes the rest. With dO = dy[token of row] and P = dO W2 (no
// weight yet):
//   d weight = <P, H>;  dH = weight P;  dX = [dg | du] W1;  dW2 = (weight dO)^T H = dO^T (weight
//   H);  dW1 = [dg | du]^T X
// so that Y itself is needed by neither direction (as in SonicMoE, 2025). Added experts have the
// last ids: their rows are one contiguous tail, and a frozen base costs no weight gradient. Legend:
// R rows (= T K slots), D model width, F expert width, G = 2F.
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "model/architecture/maybe_tensor.h"
#include "model/architecture/moe_kernel_call.h"
#include "model/architecture/moe_layer.h"
#include "model/architecture/sorted_slots.h"

namespace polygraft::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// The experts' matrices and the rows that each of them works on.
struct ExpertRows {
  const SortedSlots& slots;
  int64_t num_base;    // experts
  int64_t num_active;  // experts that contribute: all, or the base alone when the added ones are
                       // silenced

  int64_t num_rows() const { return slots.first_row.back(); }
  int64_t num_active_rows() const { return slots.first_row[num_active]; }
  at::Tensor of(const at::Tensor& rows, int64_t e) const {
    return rows.narrow(0, slots.first_row[e], slots.first_row[e + 1] - slots.first_row[e]);
  }
  bool is_hit(int64_t e) const { return slots.first_row[e + 1] > slots.first_row[e]; }
};

/// out[rows of e] = in[rows of e] W_e^T (or W_e when `transposed`). Rows of silenced experts become
/// zero.
at::Tensor grouped_product(const ExpertRows& experts, const at::Tensor& in, const SplitRows& bank,
                           bool transposed) {
  auto out = at::empty({in.size(0), bank.base.size(transposed ? 2 : 1)}, in.options());
  for (int64_t e = 0; e < experts.num_active; ++e) {
    if (!experts.is_hit(e)) continue;
    const auto weight = bank.row(e, in.scalar_type());
    auto out_rows = experts.of(out, e);
    at::mm_out(out_rows, experts.of(in, e), transposed ? weight : weight.t());
  }
  out.narrow(0, experts.num_active_rows(), experts.num_rows() - experts.num_active_rows()).zero_();
  return out;
}

/// Consecutive experts of one bank, and the rows of all of them.
struct Bank {
  int64_t first = 0, count = 0;  // experts

  at::Tensor rows(const SortedSlots& slots, const at::Tensor& all_rows) const {
    const int64_t begin = slots.first_row[first];
    return all_rows.narrow(0, begin, slots.first_row[first + count] - begin);
  }
};

/// d W_e = d_out[rows of e]^T in[rows of e] for every expert of a bank: zero where an expert was
/// not chosen. @param d_out, in the rows of this bank alone.
at::Tensor grouped_weight_gradient(const ExpertRows& experts, Bank bank, const at::Tensor& d_out,
                                   const at::Tensor& in) {
  auto gradient = at::empty({bank.count, d_out.size(1), in.size(1)}, in.options());
  for (int64_t i = 0; i < bank.count; ++i) {
    auto one = gradient.select(0, i);
    const Bank expert{bank.first + i, 1};
    if (expert.first >= experts.num_active || !experts.is_hit(expert.first)) {
      one.zero_();
      continue;
    }
    const int64_t begin =
        experts.slots.first_row[expert.first] - experts.slots.first_row[bank.first];
    const int64_t count = expert.rows(experts.slots, experts.slots.token_of_row).size(0);
    at::mm_out(one, d_out.narrow(0, begin, count).t(), in.narrow(0, begin, count));
  }
  return gradient;
}

/// Sums each token's K rows in slot order, weighted if `weight_R` (by slot) is defined. Fused
/// gather, scale and sum.
at::Tensor sum_slots(const at::Tensor& rows_RD, const SortedSlots& slots,
                     const at::Tensor& weight_R, int64_t top_k) {
  const auto first_slot_T = at::arange(0, rows_RD.size(0), top_k, at::kLong);
  return std::get<0>(at::_embedding_bag_forward_only(rows_RD, slots.row_of_slot, first_slot_T,
                                                     /*scale_grad_by_freq=*/false, /*mode=sum*/ 0,
                                                     /*sparse=*/false, maybe(weight_R)));
}

at::Tensor gate_of(const at::Tensor& gate_up_RG) {
  return gate_up_RG.narrow(1, 0, gate_up_RG.size(1) / 2);
}
at::Tensor up_of(const at::Tensor& gate_up_RG) {
  return gate_up_RG.narrow(1, gate_up_RG.size(1) / 2, gate_up_RG.size(1) / 2);
}

/// Matrices that lie in a file one by one: frozen, so that autograd need not know them.
struct Pieces {
  const std::vector<at::Tensor>&gate_up, &down;
};

struct MoeExpertsFunction : torch::autograd::Function<MoeExpertsFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_TD,
                            const at::Tensor& weight_TK, const at::Tensor& expert_TK,
                            const at::Tensor& gate_up_base, const MaybeTensor& gate_up_added,
                            const at::Tensor& down_base, const MaybeTensor& down_added,
                            const Pieces& pieces, bool silence_added, bool goes_backward) {
    const SplitRows gate_up{gate_up_base, gate_up_added.value_or(at::Tensor()), {}, pieces.gate_up};
    const SplitRows down{down_base, down_added.value_or(at::Tensor()), {}, pieces.down};
    const int64_t num_base = gate_up.num_base(), num_experts = num_base + gate_up.num_added();
    const auto slots = sort_slots(expert_TK, num_experts);
    const int64_t num_active = silence_added ? num_base : num_experts;
    at::Tensor gate_up_RG;
    const auto save = [&] {
      ctx->save_for_backward({x_TD, weight_TK, expert_TK, gate_up.base, gate_up.added, down.base,
                              down.added, gate_up_RG});
      ctx->saved_data["gate_up"] = pieces.gate_up;
      ctx->saved_data["down"] = pieces.down;
      ctx->saved_data["silence_added"] = silence_added;
    };
    if (experts_suit_kernels(gate_up, down, x_TD.scalar_type())) {
      auto out_TD = kernel_experts({x_TD, weight_TK, slots, num_active, gate_up, down},
                                   goes_backward ? &gate_up_RG : nullptr);
      save();
      return out_TD;
    }
    const ExpertRows experts{slots, num_base, num_active};
    const auto x_RD = x_TD.index_select(0, slots.token_of_row);
    gate_up_RG = grouped_product(experts, x_RD, gate_up, false);
    const auto h_RF = at::silu(gate_of(gate_up_RG)).mul_(up_of(gate_up_RG));
    const auto y_RD = grouped_product(experts, h_RF, down, false);
    const auto weight_R = weight_TK.to(x_TD.scalar_type()).flatten();
    save();
    return sum_slots(y_RD, slots, weight_R, expert_TK.size(1));
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads);
};

/// [dg | du] of H = silu(g) * u, given dH, whose memory is used up.
at::Tensor swiglu_backward(at::Tensor& d_h_RF, const at::Tensor& gate_up_RG,
                           const at::Tensor& silu_RF) {
  auto d_gate_up_RG = at::empty_like(gate_up_RG);
  auto d_gate = gate_of(d_gate_up_RG), d_up = up_of(d_gate_up_RG);
  at::mul_out(d_up, d_h_RF, silu_RF);
  at::silu_backward_out(d_gate, d_h_RF.mul_(up_of(gate_up_RG)), gate_of(gate_up_RG));
  return d_gate_up_RG;
}

/// What both matrices' gradients are made of; all rows.
struct ExpertGradientInputs {
  const at::Tensor &x_TD, &h_RF, &weight_R1, &d_out_RD, &d_gate_up_RG;
};

/// Gradients of one bank's two tensors, where they train. Only this bank's rows are gathered and
/// weighted: with a frozen base that is the short tail of the added experts.
void bank_gradients(const ExpertRows& experts, Bank bank, const ExpertGradientInputs& inputs,
                    at::Tensor* d_gate_up, at::Tensor* d_down) {
  const auto rows = [&](const at::Tensor& all) { return bank.rows(experts.slots, all); };
  if (d_gate_up != nullptr) {
    const auto x_rows = inputs.x_TD.index_select(0, rows(experts.slots.token_of_row));
    *d_gate_up = grouped_weight_gradient(experts, bank, rows(inputs.d_gate_up_RG), x_rows);
  }
  if (d_down != nullptr) {
    const auto weighted_h_rows = at::mul(rows(inputs.h_RF), rows(inputs.weight_R1));
    *d_down = grouped_weight_gradient(experts, bank, rows(inputs.d_out_RD), weighted_h_rows);
  }
}

variable_list MoeExpertsFunction::backward(AutogradContext* ctx, const variable_list& grads) {
  const auto saved = ctx->get_saved_variables();
  const auto &x_TD = saved[0], &weight_TK = saved[1], &expert_TK = saved[2], &gate_up_RG = saved[7];
  const SplitRows gate_up{saved[3], saved[4], {}, ctx->saved_data["gate_up"].toTensorVector()};
  const SplitRows down{saved[5], saved[6], {}, ctx->saved_data["down"].toTensorVector()};
  const int64_t num_base = gate_up.num_base(), num_added = gate_up.num_added();
  const auto slots = sort_slots(expert_TK, num_base + num_added);
  const bool silence_added = ctx->saved_data["silence_added"].toBool();
  const int64_t num_active = silence_added ? num_base : num_base + num_added;
  if (experts_suit_kernels(gate_up, down, x_TD.scalar_type())) {
    const auto gradients = kernel_experts_gradients(
        {x_TD, weight_TK, slots, num_active, gate_up, down}, gate_up_RG, grads[0].contiguous());
    return {gradients.d_x_TD,
            gradients.d_weight_TK,
            {},
            gradients.d_gate_up_base,
            gradients.d_gate_up_added,
            gradients.d_down_base,
            gradients.d_down_added,
            {},
            {},
            {}};
  }
  const ExpertRows experts{slots, num_base, num_active};

  const auto d_out_RD = grads[0].index_select(0, slots.token_of_row);
  auto d_h_RF = grouped_product(experts, d_out_RD, down, true);  // without the weight as yet
  const auto silu_RF = at::silu(gate_of(gate_up_RG));
  const auto h_RF = at::mul(silu_RF, up_of(gate_up_RG));
  const auto weight_R1 =
      weight_TK.to(x_TD.scalar_type()).flatten().index_select(0, slots.slot_of_row).unsqueeze(1);
  variable_list result(10);
  if (weight_TK.requires_grad()) {
    const auto d_weight_R = at::mul(d_h_RF, h_RF).sum(1, false, at::kFloat);
    result[1] = d_weight_R.index_select(0, slots.row_of_slot).view_as(weight_TK);
  }
  d_h_RF.mul_(weight_R1);
  const auto d_gate_up_RG = swiglu_backward(d_h_RF, gate_up_RG, silu_RF);
  if (x_TD.requires_grad()) {
    const auto d_x_RD = grouped_product(experts, d_gate_up_RG, gate_up, true);
    result[0] = sum_slots(d_x_RD, slots, {}, expert_TK.size(1));
  }
  const ExpertGradientInputs inputs{x_TD, h_RF, weight_R1, d_out_RD, d_gate_up_RG};
  const auto wanted = [&](const at::Tensor& tensor, at::Tensor& gradient) {
    return trains(tensor) ? &gradient : nullptr;
  };
  bank_gradients(experts, {0, num_base}, inputs, wanted(gate_up.base, result[3]),
                 wanted(down.base, result[5]));
  bank_gradients(experts, {num_base, num_added}, inputs, wanted(gate_up.added, result[4]),
                 wanted(down.added, result[6]));
  return result;
}

}  // namespace

at::Tensor moe_experts(const at::Tensor& x_TD, const Routing& routing, const SplitRows& gate_up,
                       const SplitRows& down, bool silence_added) {
  const bool goes_backward = at::GradMode::is_enabled() &&
                             (trains(x_TD) || trains(routing.weight_TK) || trains(gate_up.base) ||
                              trains(gate_up.added) || trains(down.base) || trains(down.added));
  return MoeExpertsFunction::apply(x_TD.contiguous(), routing.weight_TK.contiguous(),
                                   routing.expert_TK, gate_up.base, maybe(gate_up.added), down.base,
                                   maybe(down.added), Pieces{gate_up.pieces, down.pieces},
                                   silence_added, goes_backward);
}

}  // namespace polygraft::model
