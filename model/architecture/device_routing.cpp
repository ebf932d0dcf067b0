// model/architecture/device_routing.cpp: see device_routing.h.
#include "model/architecture/device_routing.h"

#include "core/error.h"
#include "core/text.h"
#include "model/architecture/device_views.h"

namespace polygraft::model {
namespace {

int64_t num_added(const DeviceScores& scores) {
  return scores.added_Tn.defined() ? scores.added_Tn.size(1) : 0;
}

int64_t num_experts(const DeviceScores& scores) {
  return scores.base_TE.size(1) + num_added(scores);
}

void check_shape(const DeviceScores& scores, const RouterRule& rule) {
  const int64_t count = num_experts(scores);
  if (count <= device::kMaxExperts && rule.top_k <= count) return;
  throw ConfigError("model", "its experts do not suit the device kernels")
      .expected(concat("at most ", device::kMaxExperts, " experts, and top-k among them"))
      .found(concat(count, " experts, top-k ", rule.top_k));
}

device::RouterScores view_of(const DeviceScores& scores) {
  return {device_view<const float>(scores.base_TE), device_view<const float>(scores.added_Tn),
          scores.base_TE.size(0), static_cast<int32_t>(scores.base_TE.size(1)),
          static_cast<int32_t>(num_added(scores))};
}

device::RouterChoice choice_of(const RouterRule& rule) {
  return {static_cast<int32_t>(rule.top_k), rule.renormalize};
}

/// Nothing is balanced where nothing could be.
device::BalancedGroup group_of(const RouterTerms& terms, const DeviceScores& scores) {
  const bool has_experts = terms.balance_base || num_added(scores) > 0;
  const auto num_base = static_cast<int32_t>(scores.base_TE.size(1));
  return {terms.balance_base ? 0 : num_base, has_experts ? terms.num_balanced : 0};
}

bool has_prior(const RouterTerms& terms, const DeviceScores& scores) {
  return terms.prior_weight_T.defined() && num_added(scores) > 0;
}

/// @param shape of as many elements as there are columns.
at::Tensor sum_of_columns(device::Executor& executor, const at::Tensor& in_BC,
                          at::IntArrayRef shape) {
  auto out = at::empty(shape, in_BC.options());
  executor.run(
      device::ColumnSum{device_view<const float>(in_BC), device_view<float>(out), in_BC.size(0)});
  return out;
}

/// The blocks' parts of a term, one row each; empty without it.
struct BlockSums {
  at::Tensor prior_B1, probability_BN, chosen_BN;
};

void finish_balance(device::Executor& executor, const BlockSums& sums,
                    const device::BalancedGroup& group, DeviceRouting& routing) {
  const int64_t num_experts = sums.chosen_BN.size(1);
  const auto probability_N = sum_of_columns(executor, sums.probability_BN, {num_experts});
  const auto chosen_N = sum_of_columns(executor, sums.chosen_BN, {num_experts});
  routing.share_N = at::empty_like(chosen_N);
  routing.load_balance = at::empty({}, chosen_N.options());
  executor.run(device::BalanceLoss{
      device_view<const float>(probability_N), device_view<const float>(chosen_N), group,
      device_view<float>(routing.share_N), device_view<float>(routing.load_balance)});
}

}  // namespace

DeviceRouting route_on_device(device::Executor& executor, const DeviceScores& scores,
                              const RouterRule& rule, const RouterTerms& terms) {
  check_shape(scores, rule);
  const auto options = scores.base_TE.options();
  const int64_t num_tokens = scores.base_TE.size(0);
  DeviceRouting routing;
  routing.expert_TK = at::empty({num_tokens, rule.top_k}, options.dtype(at::kInt));
  routing.weight_TK = at::empty({num_tokens, rule.top_k}, options);
  routing.base_log_sum_T = at::empty({num_tokens}, options);
  routing.added_log_sum_T = at::empty({num_tokens}, options);
  routing.is_finite_T = at::empty({num_tokens}, options.dtype(at::kByte));
  const auto view = view_of(scores);
  const auto group = group_of(terms, scores);
  const bool prior = has_prior(terms, scores), balance = group.num_tokens > 0;
  BlockSums sums;
  sums.prior_B1 = at::empty({prior ? view.num_blocks() : 0, 1}, options);
  sums.probability_BN = at::empty({balance ? view.num_blocks() : 0, num_experts(scores)}, options);
  sums.chosen_BN = at::empty_like(sums.probability_BN);
  executor.run(device::Router{
      view, choice_of(rule), group,
      device_view<const float>(prior ? terms.prior_weight_T : at::Tensor()),
      device_view<int32_t>(routing.expert_TK), device_view<float>(routing.weight_TK),
      device_view<float>(routing.base_log_sum_T), device_view<float>(routing.added_log_sum_T),
      device_view<uint8_t>(routing.is_finite_T), device_view<float>(sums.prior_B1),
      device_view<float>(sums.probability_BN), device_view<float>(sums.chosen_BN)});
  if (prior) routing.prior_sum = sum_of_columns(executor, sums.prior_B1, {});
  if (balance) finish_balance(executor, sums, group, routing);
  return routing;
}

DeviceScoreGradients route_backward_on_device(device::Executor& executor,
                                              const DeviceScores& scores, const RouterRule& rule,
                                              const RouterTerms& terms,
                                              const DeviceRouting& routing,
                                              const DeviceRoutingGradient& gradient) {
  const auto group = group_of(terms, scores);
  at::Tensor prior_weight_T, scaled_share_N;
  if (gradient.d_prior_sum.defined()) {
    prior_weight_T = at::mul(terms.prior_weight_T, gradient.d_prior_sum);
  }
  if (gradient.d_load_balance.defined()) {
    const auto group_size = static_cast<double>(num_experts(scores) - group.first_expert);
    scaled_share_N = at::mul(routing.share_N, gradient.d_load_balance)
                         .mul_(group_size / static_cast<double>(group.num_tokens));
  }
  DeviceScoreGradients gradients;
  gradients.d_base_TE = at::empty_like(scores.base_TE);
  gradients.d_added_Tn =
      at::empty({scores.base_TE.size(0), num_added(scores)}, scores.base_TE.options());
  if (prior_weight_T.defined()) gradients.d_prior_Tn = at::empty_like(gradients.d_added_Tn);
  executor.run(device::RouterBackward{
      view_of(scores), choice_of(rule), group, device_view<const int32_t>(routing.expert_TK),
      device_view<const float>(routing.weight_TK), device_view<const float>(gradient.d_weight_TK),
      device_view<const float>(routing.base_log_sum_T),
      device_view<const float>(routing.added_log_sum_T), device_view<const float>(scaled_share_N),
      device_view<const float>(prior_weight_T), device_view<float>(gradients.d_base_TE),
      device_view<float>(gradients.d_added_Tn), device_view<float>(gradients.d_prior_Tn)});
  return gradients;
}

}  // namespace polygraft::model
