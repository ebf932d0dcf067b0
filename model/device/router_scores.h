// model/device/router_scores.h: what the router's two directions share: their scores, and how a
// block deals with them. Experts of a layer: base (ids 0 .. E - 1) and added (E .. E + n - 1),
// whose scores come as two matrices, so that what added experts do to a normaliser is always the
// last addition. Legend: T tokens, E base experts, n added, N = E + n, K experts of a token.
#pragma once
#include "model/device/number.h"

namespace polygraft::device {

constexpr int kMaxExperts = 1024;
constexpr int kTokensPerBlock = 4;
constexpr int kThreadsPerToken = 32;

/// float32 router scores of all experts.
struct RouterScores {
  View<const float> base_TE;
  View<const float> added_Tn;
  int64_t num_tokens = 0;
  int32_t num_base = 0, num_added = 0;

  POLYGRAFT_BODY int32_t num_experts() const { return num_base + num_added; }
  POLYGRAFT_BODY int64_t num_blocks() const { return blocks_of(num_tokens, kTokensPerBlock); }
  POLYGRAFT_BODY float read(int64_t token, int32_t expert) const {
    return expert < num_base ? base_TE.read(token * num_base + expert)
                             : added_Tn.read(token * num_added + expert - num_base);
  }
};

/// How scores become weights, as model::RouterRule.
struct RouterChoice {
  int32_t top_k = 1;
  bool renormalize = false;  ///< weights of the chosen sum to one; else they are the softmax's
};

/// Which experts are load-balanced, over which tokens.
struct BalancedGroup {
  int32_t first_expert = 0;  ///< 0: all; E: the added ones, with a softmax of their own
  int64_t num_tokens = 0;    ///< the first so many
};

/// Which of a block's tokens a thread works on, and as which of its 32 threads.
struct TokenThread {
  int local, lane;
  int64_t token;

  POLYGRAFT_BODY explicit TokenThread(Place at)
      : local(at.thread / kThreadsPerToken),
        lane(at.thread % kThreadsPerToken),
        token(at.block * kTokensPerBlock + local) {}
};

/// log of the sums of exp(score), of base and of added experts (minus infinity without any).
struct LogSums {
  float base, added;

  POLYGRAFT_BODY float all() const { return log_add_exp(base, added); }
  POLYGRAFT_BODY float of_group(const BalancedGroup& group) const {
    return group.first_expert == 0 ? all() : added;
  }
};

}  // namespace polygraft::device
