// expand/planned_experts.h: the experts that a plan calls for, made when they are asked for: all of
// them at once need not fit into memory.
#pragma once
#include <map>
#include <utility>
#include <vector>

#include "expand/expert_clones.h"
#include "expand/plan.h"
#include "model/architecture/transformer.h"

namespace polygraft::expand {

/// Keeps the last one, whose matrices are asked for in turn.
class PlannedExperts {
 public:
  PlannedExperts(model::Transformer base, const ExpansionPlan& plan);
  Expert operator()(int64_t layer, int64_t j);

 private:
  model::Transformer base_;
  uint64_t seed_;
  double reinit_ratio_;
  std::map<int64_t, std::vector<Donor>> donors_;
  std::pair<int64_t, int64_t> made_{-1, -1};
  Expert expert_;
};

}  // namespace polygraft::expand
