// model/device/router.h: from scores to chosen experts and weights, with the terms that train the
// router, in one pass over the scores. Same mathematics as model/architecture/routing.cpp and
// router_terms.cpp:
//   rank of expert i = experts j with z_j > z_i, or z_j = z_i and j < i (ties go to the lower id)
//   weight of rank k < K: softmax over the chosen scores, or exp(z - log sum_all exp z)
//   prior: log sum_all exp z - log sum_base exp z   (MoE-LPR, arXiv 2408.11396)
//   balance: sum_t p_t and the number of choices, by expert (Switch Transformer, arXiv 2101.03961)
// The last two are sums over tokens: each block leaves its part as one row, and column_sum.h adds
// the rows. Comparing every pair of scores wants no order and no barrier, and K may be N. A score
// that is not finite is reported, and a NaN ranks last. Legend: see router_scores.h; B blocks.
#pragma once
#include <cmath>

#include "model/device/router_scores.h"

namespace polygraft::device {

struct Router {
  static constexpr int kThreads = kTokensPerBlock * kThreadsPerToken, kPhases = 4;
  struct Shared {
    SharedArray<float, kTokensPerBlock * kMaxExperts> score;
    SharedArray<int16_t, kTokensPerBlock * kMaxExperts> chosen;  // expert by rank; the first K
    SharedArray<float, kThreads> base_high, added_high, base_sum, added_sum;
    SharedArray<uint8_t, kThreads> is_finite;
    SharedArray<float, kTokensPerBlock> prior, group_log_sum;
  };

  RouterScores scores;
  RouterChoice choice;
  BalancedGroup balanced;
  View<const float> prior_weight_T;  // empty: no prior term
  View<int32_t> expert_TK;
  View<float> weight_TK;
  View<float> base_log_sum_T, added_log_sum_T;  // for the way back
  View<uint8_t> is_finite_T;
  View<float> prior_B;                    // sum of weight times prior
  View<float> probability_BN, chosen_BN;  // sums over balanced tokens; zero outside the group

  POLYGRAFT_BODY int64_t num_blocks() const { return scores.num_blocks(); }

  template <int Phase>
  POLYGRAFT_BODY void run(Place at, Shared& shared) const {
    const TokenThread of(at);
    const bool has_token = of.token < scores.num_tokens;
    if constexpr (Phase == 0) {
      if (has_token) load(of, at.thread, shared);
    } else if constexpr (Phase == 1) {
      if (has_token) {
        add_up(of, at.thread, shared);
        rank(of, shared);
      }
    } else if constexpr (Phase == 2) {
      if (has_token) weigh(of, shared);
    } else {
      leave_sums(at, shared);
    }
  }

 private:
  POLYGRAFT_BODY static float minus_infinity() { return -INFINITY; }

  POLYGRAFT_BODY void load(TokenThread of, int thread, Shared& shared) const {
    float base_high = minus_infinity(), added_high = minus_infinity();
    bool is_finite = true;
    for (int32_t e = of.lane; e < scores.num_experts(); e += kThreadsPerToken) {
      float score = scores.read(of.token, e);
      is_finite = is_finite && fabsf(score) < INFINITY;
      if (score != score) score = minus_infinity();
      shared.score.write(of.local * kMaxExperts + e, score);
      if (e < scores.num_base) {
        base_high = fmaxf(base_high, score);
      } else {
        added_high = fmaxf(added_high, score);
      }
    }
    shared.base_high.write(thread, base_high);
    shared.added_high.write(thread, added_high);
    shared.is_finite.write(thread, is_finite ? 1 : 0);
  }

  template <class T>
  POLYGRAFT_BODY static float highest(TokenThread of, T& values) {
    float high = minus_infinity();
    for (int lane = 0; lane < kThreadsPerToken; ++lane) {
      high = fmaxf(high, values.read(of.local * kThreadsPerToken + lane));
    }
    return high;
  }

  /// This thread's part of both sums of exp(score - highest).
  POLYGRAFT_BODY void add_up(TokenThread of, int thread, Shared& shared) const {
    const float base_high = highest(of, shared.base_high);
    const float added_high = highest(of, shared.added_high);
    float base_sum = 0, added_sum = 0;
    for (int32_t e = of.lane; e < scores.num_experts(); e += kThreadsPerToken) {
      const float score = shared.score.read(of.local * kMaxExperts + e);
      if (e < scores.num_base) {
        base_sum += expf(score - base_high);
      } else {
        added_sum += expf(score - added_high);
      }
    }
    shared.base_sum.write(thread, base_sum);
    shared.added_sum.write(thread, added_sum);
  }

  POLYGRAFT_BODY void rank(TokenThread of, Shared& shared) const {
    const int first = of.local * kMaxExperts;
    for (int32_t e = of.lane; e < scores.num_experts(); e += kThreadsPerToken) {
      const float own = shared.score.read(first + e);
      int32_t rank = 0;
      for (int32_t i = 0; i < e; ++i) rank += shared.score.read(first + i) >= own ? 1 : 0;
      for (int32_t i = e + 1; i < scores.num_experts(); ++i) {
        rank += shared.score.read(first + i) > own ? 1 : 0;
      }
      if (rank >= choice.top_k) continue;
      shared.chosen.write(first + rank, static_cast<int16_t>(e));
      expert_TK.write(of.token * choice.top_k + rank, e);
    }
  }

  template <class T>
  POLYGRAFT_BODY static float log_sum(TokenThread of, T& highs, T& sums) {
    float sum = 0;
    for (int lane = 0; lane < kThreadsPerToken; ++lane) {
      sum += sums.read(of.local * kThreadsPerToken + lane);
    }
    return highest(of, highs) + logf(sum);
  }

  POLYGRAFT_BODY void weigh(TokenThread of, Shared& shared) const {
    const LogSums sums{log_sum(of, shared.base_high, shared.base_sum),
                       scores.num_added == 0 ? minus_infinity()
                                             : log_sum(of, shared.added_high, shared.added_sum)};
    const float normaliser = choice.renormalize ? log_sum_of_chosen(of, shared) : sums.all();
    for (int32_t k = of.lane; k < choice.top_k; k += kThreadsPerToken) {
      weight_TK.write(of.token * choice.top_k + k, expf(chosen_score(of, k, shared) - normaliser));
    }
    if (of.lane != 0) return;
    base_log_sum_T.write(of.token, sums.base);
    added_log_sum_T.write(of.token, sums.added);
    shared.group_log_sum.write(of.local, sums.of_group(balanced));
    shared.prior.write(of.local, sums.all() - sums.base);
    uint8_t is_finite = 1;
    for (int lane = 0; lane < kThreadsPerToken; ++lane) {
      is_finite &= shared.is_finite.read(of.local * kThreadsPerToken + lane);
    }
    is_finite_T.write(of.token, is_finite);
  }

  POLYGRAFT_BODY static float chosen_score(TokenThread of, int32_t k, Shared& shared) {
    const int first = of.local * kMaxExperts;
    return shared.score.read(first + shared.chosen.read(first + k));
  }
  POLYGRAFT_BODY float log_sum_of_chosen(TokenThread of, Shared& shared) const {
    const float high = chosen_score(of, 0, shared);
    float sum = 0;
    for (int32_t k = 0; k < choice.top_k; ++k) sum += expf(chosen_score(of, k, shared) - high);
    return high + logf(sum);
  }

  /// The block's row of every sum over tokens, added up in token order.
  POLYGRAFT_BODY void leave_sums(Place at, Shared& shared) const {
    const int64_t first_token = at.block * kTokensPerBlock;
    const int num_here = num_below(scores.num_tokens - first_token);
    const int num_balanced = num_below(balanced.num_tokens - first_token);
    if (at.thread == 0 && !prior_weight_T.is_empty()) {
      float prior = 0;
      for (int t = 0; t < num_here; ++t) {
        prior += prior_weight_T.read(first_token + t) * shared.prior.read(t);
      }
      prior_B.write(at.block, prior);
    }
    if (balanced.num_tokens == 0) return;
    for (int32_t e = at.thread; e < scores.num_experts(); e += kThreads) {
      float probability = 0, count = 0;
      for (int t = 0; t < num_balanced && e >= balanced.first_expert; ++t) {
        probability += expf(shared.score.read(t * kMaxExperts + e) - shared.group_log_sum.read(t));
        for (int32_t k = 0; k < choice.top_k; ++k) {
          count += shared.chosen.read(t * kMaxExperts + k) == e ? 1.0f : 0.0f;
        }
      }
      probability_BN.write(at.block * scores.num_experts() + e, probability);
      chosen_BN.write(at.block * scores.num_experts() + e, count);
    }
  }
  POLYGRAFT_BODY static int num_below(int64_t count) {
    return count < 0 ? 0 : count < kTokensPerBlock ? static_cast<int>(count) : kTokensPerBlock;
  }
};

}  // namespace polygraft::device
