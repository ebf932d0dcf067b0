// model/device/router_backward.h: the gradient of router.h in the scores. With p = softmax over all
// experts, q that over the balanced group, w the weights and f = share S / tokens of balance.h
// times the whole loss's gradient in that one:
//   renormalised: dz_i = w_i (dw_i - <w, dw>) of chosen experts, else dz_i = w_i dw_i - p_i <w, dw>
//   balance:      dz_i += q_i (f_i - <f, q>) of balanced tokens
//   prior:        dz_j = weight_t p_j of added experts; kept apart, since it trains the added rows
//                 alone: neither base scores nor the layers below may move (router_terms.h)
// Legend: see router_scores.h.
#pragma once
#include "model/device/router_scores.h"

namespace polygraft::device {

struct RouterBackward {
  static constexpr int kThreads = kTokensPerBlock * kThreadsPerToken, kPhases = 2;
  struct Shared {
    SharedArray<float, kThreads> balance;  // parts of <f, q>
  };

  RouterScores scores;
  RouterChoice choice;
  BalancedGroup balanced;
  View<const int32_t> expert_TK;
  View<const float> weight_TK, d_weight_TK;
  View<const float> base_log_sum_T, added_log_sum_T;
  View<const float> scaled_share_N;  // f; empty without a balance term
  View<const float> prior_weight_T;  // times the loss's gradient; empty without a prior term
  View<float> d_base_TE, d_added_Tn;
  View<float> d_prior_Tn;

  POLYGRAFT_BODY int64_t num_blocks() const { return scores.num_blocks(); }

  template <int Phase>
  POLYGRAFT_BODY void run(Place at, Shared& shared) const {
    const TokenThread of(at);
    if (of.token >= scores.num_tokens) return;
    if constexpr (Phase == 0) {
      if (is_balanced(of)) shared.balance.write(at.thread, balance_part(of));
    } else {
      differentiate(of, shared);
    }
  }

 private:
  POLYGRAFT_BODY bool is_balanced(TokenThread of) const {
    return !scaled_share_N.is_empty() && of.token < balanced.num_tokens;
  }
  POLYGRAFT_BODY LogSums log_sums(TokenThread of) const {
    return {base_log_sum_T.read(of.token), added_log_sum_T.read(of.token)};
  }

  POLYGRAFT_BODY float balance_part(TokenThread of) const {
    const float log_sum = log_sums(of).of_group(balanced);
    float part = 0;
    for (int32_t e = balanced.first_expert + of.lane; e < scores.num_experts();
         e += kThreadsPerToken) {
      part += scaled_share_N.read(e) * expf(scores.read(of.token, e) - log_sum);
    }
    return part;
  }

  POLYGRAFT_BODY void differentiate(TokenThread of, Shared& shared) const {
    const LogSums sums = log_sums(of);
    const float log_sum = sums.all();
    const float group_log_sum = sums.of_group(balanced);
    const float d_weights = mean_d_weight(of);
    float balance = 0;
    for (int lane = 0; is_balanced(of) && lane < kThreadsPerToken; ++lane) {
      balance += shared.balance.read(of.local * kThreadsPerToken + lane);
    }
    for (int32_t e = of.lane; e < scores.num_experts(); e += kThreadsPerToken) {
      const float score = scores.read(of.token, e);
      const float probability = expf(score - log_sum);
      float d_score = d_chosen(of, e, choice.renormalize ? d_weights : 0.0f);
      if (!choice.renormalize) d_score -= probability * d_weights;
      if (is_balanced(of) && e >= balanced.first_expert) {
        d_score += expf(score - group_log_sum) * (scaled_share_N.read(e) - balance);
      }
      write(of, e, d_score, probability);
    }
  }

  /// <w, dw>, in slot order.
  POLYGRAFT_BODY float mean_d_weight(TokenThread of) const {
    float mean = 0;
    for (int64_t slot = of.token * choice.top_k; slot < (of.token + 1) * choice.top_k; ++slot) {
      mean += weight_TK.read(slot) * d_weight_TK.read(slot);
    }
    return mean;
  }
  /// w (dw - mean) of expert `e` where the token has chosen it, else 0.
  POLYGRAFT_BODY float d_chosen(TokenThread of, int32_t e, float mean) const {
    float d_score = 0;
    for (int64_t slot = of.token * choice.top_k; slot < (of.token + 1) * choice.top_k; ++slot) {
      if (expert_TK.read(slot) == e)
        d_score = weight_TK.read(slot) * (d_weight_TK.read(slot) - mean);
    }
    return d_score;
  }

  POLYGRAFT_BODY void write(TokenThread of, int32_t e, float d_score, float probability) const {
    if (e < scores.num_base) {
      d_base_TE.write(of.token * scores.num_base + e, d_score);
      return;
    }
    const int64_t at = of.token * scores.num_added + e - scores.num_base;
    d_added_Tn.write(at, d_score);
    if (!prior_weight_T.is_empty())
      d_prior_Tn.write(at, prior_weight_T.read(of.token) * probability);
  }
};

}  // namespace polygraft::device
