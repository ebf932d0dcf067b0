// trainer/parallel/run_ranks.h: what the ranks of one run have to agree on outside of a step: who
// writes, in which turn text is prepared, when to stop, what a probe has found. A process that
// trains alone is the first of one rank, and none of this costs it anything.
#pragma once
#include "model/parallel/rank_grid.h"
#include "model/parallel/team.h"
#include "trainer/probe.h"

namespace polygraft::trainer {

class RunRanks : public parallel::Team {
 public:
  /// @param grid is referred to; null: this process alone.
  explicit RunRanks(const parallel::RankGrid* grid)
      : Team(grid == nullptr ? nullptr : &grid->world()), grid_(grid) {}

  const parallel::RankGrid* grid() const { return grid_; }

  /// Every language's line, from the rank that has probed it.
  ProbeResult gathered(ProbeResult own) const;

 private:
  const parallel::RankGrid* grid_;
};

}  // namespace polygraft::trainer
