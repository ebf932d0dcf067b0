// model/architecture/moe_on_device.cpp: see moe_on_device.h.
#include "model/architecture/moe_on_device.h"

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "core/text.h"
#include "model/architecture/device_views.h"

namespace polygraft::model {
namespace {

using device::Lanes;

/// A layer's sizes, and where new tensors of it are made.
class Sizes {
 public:
  Sizes(const DeviceMoe& layer, const at::Tensor& x_TD)
      : num_tokens(x_TD.size(0)),
        model_width(x_TD.size(1)),
        expert_width(layer.down_NDF.size(2)),
        num_base(layer.num_base()),
        num_added(layer.num_added()),
        top_k(layer.rule.top_k),
        options_(x_TD.options()) {
    check();
  }

  const int64_t num_tokens, model_width, expert_width, num_base, num_added, top_k;

  int64_t num_rows() const { return num_tokens * top_k; }
  int64_t num_experts() const { return num_base + num_added; }
  int64_t model_lanes() const { return model_width / device::kLanes; }
  int64_t expert_lanes() const { return expert_width / device::kLanes; }
  device::Groups groups() const {
    return {static_cast<int32_t>(num_base), static_cast<int32_t>(num_added)};
  }
  at::Tensor empty(at::IntArrayRef shape, at::ScalarType dtype) const {
    return at::empty(shape, options_.dtype(dtype));
  }

 private:
  void check() const {
    if (model_width % device::kLanes != 0 || expert_width % device::kLanes != 0) {
      throw ConfigError("model", "its widths do not suit the device kernels")
          .expected(concat("multiples of ", device::kLanes))
          .found(concat("hidden size ", model_width, ", expert width ", expert_width));
    }
    if (num_experts() > device::kMaxExperts || top_k > num_experts()) {
      throw ConfigError("model", "its experts do not suit the device kernels")
          .expected(concat("at most ", device::kMaxExperts, " experts, and top-k among them"))
          .found(concat(num_experts(), " experts, top-k ", top_k));
    }
    if (num_rows() > std::numeric_limits<int32_t>::max()) {
      throw ConfigError("batch", "has more rows than an int32 counts")
          .found(concat(num_tokens, " tokens, top-k ", top_k))
          .hint("fewer tokens at once");
    }
  }

  at::TensorOptions options_;
};

device::RouterScores scores_of(const DeviceMoeSaved& saved, const Sizes& sizes) {
  return {device_view<const float>(saved.base_TE), device_view<const float>(saved.added_Tn),
          sizes.num_tokens, static_cast<int32_t>(sizes.num_base),
          static_cast<int32_t>(sizes.num_added)};
}

device::RouterChoice choice_of(const RouterRule& rule) {
  return {static_cast<int32_t>(rule.top_k), rule.renormalize};
}

/// Nothing is balanced where nothing could be.
device::BalancedGroup group_of(const RouterTerms& terms, const Sizes& sizes) {
  const bool has_experts = terms.balance_base || sizes.num_added > 0;
  return {terms.balance_base ? 0 : static_cast<int32_t>(sizes.num_base),
          has_experts ? terms.num_balanced : 0};
}

at::Tensor sum_of_columns(device::Executor& executor, const at::Tensor& in_BC) {
  auto out_C = at::empty({in_BC.size(1)}, in_BC.options());
  executor.run(
      device::ColumnSum{device_view<const float>(in_BC), device_view<float>(out_C), in_BC.size(0)});
  return out_C;
}

void route(device::Executor& executor, const DeviceMoe& layer, const Sizes& sizes,
           DeviceMoeSaved& saved, DeviceMoeOutput& output) {
  saved.base_TE = at::mm(saved.x_TD, layer.router_base_ED.t()).to(at::kFloat);
  if (sizes.num_added > 0) {
    saved.added_Tn = at::mm(saved.x_TD, layer.router_added_nD.t()).to(at::kFloat);
  }
  saved.expert_TK = sizes.empty({sizes.num_tokens, sizes.top_k}, at::kInt);
  saved.weight_TK = sizes.empty({sizes.num_tokens, sizes.top_k}, at::kFloat);
  saved.base_log_sum_T = sizes.empty({sizes.num_tokens}, at::kFloat);
  saved.added_log_sum_T = sizes.empty({sizes.num_tokens}, at::kFloat);
  output.is_finite_T = sizes.empty({sizes.num_tokens}, at::kByte);
  const auto scores = scores_of(saved, sizes);
  const auto group = group_of(saved.terms, sizes);
  const int64_t num_blocks = scores.num_blocks();
  const bool has_prior = saved.terms.prior_weight_T.defined() && sizes.num_added > 0;
  const bool has_balance = group.num_tokens > 0;
  const auto prior_B1 = sizes.empty({has_prior ? num_blocks : 0, 1}, at::kFloat);
  const auto probability_BN =
      sizes.empty({has_balance ? num_blocks : 0, sizes.num_experts()}, at::kFloat);
  const auto chosen_BN = at::empty_like(probability_BN);
  executor.run(device::Router{
      scores, choice_of(layer.rule), group,
      device_view<const float>(has_prior ? saved.terms.prior_weight_T : at::Tensor()),
      device_view<int32_t>(saved.expert_TK), device_view<float>(saved.weight_TK),
      device_view<float>(saved.base_log_sum_T), device_view<float>(saved.added_log_sum_T),
      device_view<uint8_t>(output.is_finite_T), device_view<float>(prior_B1),
      device_view<float>(probability_BN), device_view<float>(chosen_BN)});
  if (has_prior) output.prior = sum_of_columns(executor, prior_B1);
  if (!has_balance) return;
  const auto probability_N = sum_of_columns(executor, probability_BN);
  const auto chosen_N = sum_of_columns(executor, chosen_BN);
  saved.share_N = at::empty_like(chosen_N);
  output.load_balance = sizes.empty({1}, at::kFloat);
  executor.run(device::BalanceLoss{
      device_view<const float>(probability_N), device_view<const float>(chosen_N), group,
      device_view<float>(saved.share_N), device_view<float>(output.load_balance)});
}

void sort(device::Executor& executor, const Sizes& sizes, DeviceMoeSaved& saved) {
  const auto groups = sizes.groups();
  const int64_t num_chunks = device::blocks_of(sizes.num_rows(), device::kSlotsPerChunk);
  const auto count_NC = sizes.empty({sizes.num_experts(), num_chunks}, at::kInt);
  const auto total_N = sizes.empty({sizes.num_experts()}, at::kInt);
  saved.first_row = sizes.empty({sizes.num_experts() + 1}, at::kInt);
  saved.row_of_slot = sizes.empty({sizes.num_rows()}, at::kInt);
  saved.slot_of_row = sizes.empty({sizes.num_rows()}, at::kInt);
  saved.token_of_row = sizes.empty({sizes.num_rows()}, at::kInt);
  const auto expert_R = device_view<const int32_t>(saved.expert_TK);
  executor.run(device::CountSlots{expert_R, device_view<int32_t>(count_NC), groups});
  executor.run(device::ExclusiveScan{device_view<const int32_t>(count_NC),
                                     device_view<int32_t>(count_NC), device_view<int32_t>(total_N),
                                     num_chunks});
  executor.run(
      device::ExclusiveScan{device_view<const int32_t>(total_N),
                            device_view<int32_t>(saved.first_row.narrow(0, 0, sizes.num_experts())),
                            device_view<int32_t>(saved.first_row.narrow(0, sizes.num_experts(), 1)),
                            sizes.num_experts()});
  executor.run(device::PlaceSlots{
      expert_R, device_view<const int32_t>(count_NC), device_view<const int32_t>(saved.first_row),
      device_view<int32_t>(saved.row_of_slot), device_view<int32_t>(saved.slot_of_row),
      device_view<int32_t>(saved.token_of_row), groups, static_cast<int32_t>(sizes.top_k)});
}

/// @param num_wanted int32 [1]: the first so many rows; undefined: all.
at::Tensor gather(device::Executor& executor, const Sizes& sizes, const DeviceMoeSaved& saved,
                  const at::Tensor& from_TD, const at::Tensor& num_wanted) {
  auto to_RD = sizes.empty({sizes.num_rows(), sizes.model_width}, at::kBFloat16);
  executor.run(device::GatherRows{
      device_view<const Lanes>(from_TD), device_view<const int32_t>(saved.token_of_row),
      device_view<const int32_t>(num_wanted), device_view<Lanes>(to_RD), sizes.model_lanes()});
  return to_RD;
}

at::Tensor sum_slots(device::Executor& executor, const Sizes& sizes, const DeviceMoeSaved& saved,
                     const at::Tensor& rows_RD, const at::Tensor& weight_TK) {
  auto out_TD = sizes.empty({sizes.num_tokens, sizes.model_width}, at::kBFloat16);
  executor.run(device::SumSlots{device_view<const Lanes>(rows_RD),
                                device_view<const int32_t>(saved.row_of_slot),
                                device_view<const float>(weight_TK), device_view<Lanes>(out_TD),
                                sizes.model_lanes(), static_cast<int32_t>(sizes.top_k)});
  return out_TD;
}

/// Where the rows of the first `count` groups end: what at::_grouped_mm calls offsets.
at::Tensor ends_of(const DeviceMoeSaved& saved, int64_t count) {
  return saved.first_row.narrow(0, 1, count);
}

/// Of the added experts' matrices. Their rows come first, so that no other row is touched.
void differentiate_added(device::Executor& executor, const Sizes& sizes,
                         const DeviceMoeSaved& saved, const at::Tensor& d_out_RD,
                         const at::Tensor& d_gate_up_RG, const at::Tensor& weighted_h_RF,
                         DeviceMoeGradients& gradients) {
  const auto ends = ends_of(saved, sizes.num_added);
  const auto x_RD =
      gather(executor, sizes, saved, saved.x_TD, saved.first_row.narrow(0, sizes.num_added, 1));
  gradients.d_gate_up_added_nGD = at::_grouped_mm(d_gate_up_RG.t(), x_RD, ends);
  gradients.d_down_added_nDF = at::_grouped_mm(d_out_RD.t(), weighted_h_RF, ends);
}

/// @return d_weight_TK.
at::Tensor differentiate_experts(device::Executor& executor, const DeviceMoe& layer,
                                 const Sizes& sizes, const DeviceMoeSaved& saved,
                                 const at::Tensor& d_y_TD, DeviceMoeGradients& gradients) {
  const auto ends = ends_of(saved, sizes.num_experts());
  const auto d_out_RD = gather(executor, sizes, saved, d_y_TD.contiguous(), {});
  const auto product_RF = at::_grouped_mm(d_out_RD, layer.down_NDF, ends);
  const auto d_gate_up_RG = at::empty_like(saved.gate_up_RG);
  const auto weighted_h_RF =
      sizes.empty({sizes.num_added > 0 ? sizes.num_rows() : 0, sizes.expert_width}, at::kBFloat16);
  auto d_weight_TK = at::empty_like(saved.weight_TK);
  executor.run(device::SwiGluBackward{
      device_view<const Lanes>(saved.gate_up_RG), device_view<const Lanes>(product_RF),
      device_view<const int32_t>(saved.slot_of_row), device_view<const float>(saved.weight_TK),
      device_view<const int32_t>(saved.first_row.narrow(0, sizes.num_added, 1)),
      device_view<Lanes>(d_gate_up_RG), device_view<Lanes>(weighted_h_RF),
      device_view<float>(d_weight_TK), sizes.expert_lanes()});
  const auto d_x_RD = at::_grouped_mm(d_gate_up_RG, layer.gate_up_NGD, ends);
  gradients.d_x_TD = sum_slots(executor, sizes, saved, d_x_RD, {});
  if (sizes.num_added > 0) {
    differentiate_added(executor, sizes, saved, d_out_RD, d_gate_up_RG, weighted_h_RF, gradients);
  }
  return d_weight_TK;
}

void differentiate_router(device::Executor& executor, const DeviceMoe& layer, const Sizes& sizes,
                          const DeviceMoeSaved& saved, const at::Tensor& d_weight_TK,
                          const DeviceMoeLossGradient& loss, DeviceMoeGradients& gradients) {
  const auto group = group_of(saved.terms, sizes);
  const auto group_size = static_cast<double>(sizes.num_experts() - group.first_expert);
  const bool has_prior = saved.terms.prior_weight_T.defined() && sizes.num_added > 0;
  const auto prior_weight_T =
      has_prior ? at::mul(saved.terms.prior_weight_T, loss.prior) : at::Tensor();
  const auto d_base_TE = at::empty_like(saved.base_TE);
  const auto d_added_Tn = sizes.empty({sizes.num_tokens, sizes.num_added}, at::kFloat);
  auto d_prior_Tn = has_prior ? at::empty_like(d_added_Tn) : at::Tensor();
  executor.run(device::RouterBackward{
      scores_of(saved, sizes), choice_of(layer.rule), group,
      static_cast<float>(loss.load_balance * group_size / std::max<int64_t>(group.num_tokens, 1)),
      device_view<const int32_t>(saved.expert_TK), device_view<const float>(saved.weight_TK),
      device_view<const float>(d_weight_TK), device_view<const float>(saved.base_log_sum_T),
      device_view<const float>(saved.added_log_sum_T), device_view<const float>(saved.share_N),
      device_view<const float>(prior_weight_T), device_view<float>(d_base_TE),
      device_view<float>(d_added_Tn), device_view<float>(d_prior_Tn)});
  gradients.d_x_TD.addmm_(d_base_TE.to(at::kBFloat16), layer.router_base_ED);
  if (sizes.num_added == 0) return;
  gradients.d_x_TD.addmm_(d_added_Tn.to(at::kBFloat16), layer.router_added_nD);
  const auto d_rows_Tn = has_prior ? at::add(d_added_Tn, d_prior_Tn) : d_added_Tn;
  gradients.d_router_added_nD = at::mm(d_rows_Tn.t(), saved.x_TD.to(at::kFloat));
}

}  // namespace

DeviceMoeOutput forward_on_device(device::Executor& executor, const DeviceMoe& layer,
                                  const at::Tensor& x_TD, const RouterTerms& terms,
                                  DeviceMoeSaved& saved) {
  const Sizes sizes(layer, x_TD);
  DeviceMoeOutput output;
  saved = {};
  saved.x_TD = x_TD.contiguous();
  saved.terms = terms;
  route(executor, layer, sizes, saved, output);
  sort(executor, sizes, saved);
  const auto ends = ends_of(saved, sizes.num_experts());
  const auto x_RD = gather(executor, sizes, saved, saved.x_TD, {});
  saved.gate_up_RG = at::_grouped_mm(x_RD, layer.gate_up_NGD.transpose(1, 2), ends);
  const auto h_RF = sizes.empty({sizes.num_rows(), sizes.expert_width}, at::kBFloat16);
  executor.run(device::SwiGlu{device_view<const Lanes>(saved.gate_up_RG), device_view<Lanes>(h_RF),
                              sizes.expert_lanes()});
  const auto y_RD = at::_grouped_mm(h_RF, layer.down_NDF.transpose(1, 2), ends);
  output.y_TD = sum_slots(executor, sizes, saved, y_RD, saved.weight_TK);
  return output;
}

DeviceMoeGradients backward_on_device(device::Executor& executor, const DeviceMoe& layer,
                                      const DeviceMoeSaved& saved,
                                      const DeviceMoeLossGradient& gradient) {
  const Sizes sizes(layer, saved.x_TD);
  DeviceMoeGradients gradients;
  const auto d_weight_TK =
      differentiate_experts(executor, layer, sizes, saved, gradient.d_y_TD, gradients);
  differentiate_router(executor, layer, sizes, saved, d_weight_TK, gradient, gradients);
  return gradients;
}

}  // namespace polygraft::model
