// model/device/balance.h: the load-balancing loss over one group of experts, out of router.h's
// sums:
//   loss = S sum_i f_i P_i,  f_i = choices_i / sum of choices,  P_i = probability_i / tokens
// with S the number of experts of the group (Switch Transformer, Fedus et al. 2021, eq. 4;
// reference: model/architecture/router_terms.h); 0 when the group was never chosen. Legend: N
// experts.
#pragma once
#include "model/device/router_scores.h"

namespace polygraft::device {

struct BalanceLoss {
  static constexpr int kThreads = 256, kPhases = 2 + halvings(kThreads);
  struct Shared {
    SharedArray<float, kThreads> chosen, loss;
  };

  View<const float> probability_N, chosen_N;  // sums over the balanced tokens
  BalancedGroup group;
  View<float> share_N;  // f, for the way back; zero outside the group
  View<float> loss;     // [1]

  POLYGRAFT_BODY int64_t num_blocks() const { return 1; }

  template <int Phase>
  POLYGRAFT_BODY void run(Place at, Shared& shared) const {
    if constexpr (Phase == 0) {
      float chosen = 0;
      for (int64_t i = at.thread; i < chosen_N.size; i += kThreads) chosen += chosen_N.read(i);
      shared.chosen.write(at.thread, chosen);
    } else if constexpr (Phase == 1) {
      shared.loss.write(at.thread, divide(at.thread, shared));
    } else {
      halve<Phase - 1>(shared.loss, at.thread);
      if (Phase == kPhases - 1 && at.thread == 0) {
        const auto num_experts = static_cast<float>(chosen_N.size - group.first_expert);
        loss.write(0, shared.loss.read(0) * num_experts / static_cast<float>(group.num_tokens));
      }
    }
  }

 private:
  /// Writes this thread's shares. @return its part of the sum of f_i probability_i.
  POLYGRAFT_BODY float divide(int thread, Shared& shared) const {
    float total = 0;
    for (int i = 0; i < kThreads; ++i) total += shared.chosen.read(i);
    float part = 0;
    for (int64_t i = thread; i < chosen_N.size; i += kThreads) {
      const float share = total > 0 ? chosen_N.read(i) / total : 0.0f;
      share_N.write(i, share);
      part += share * probability_N.read(i);
    }
    return part;
  }
};

}  // namespace polygraft::device
