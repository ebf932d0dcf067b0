// trainer/parallel/run_ranks.h: what the ranks of one run have to agree on outside of a step: who
// writes, in which turn text is prepared, when to stop, what a probe has found. A process that
// trains alone is the first of one rank, and none of this costs it anything.
#pragma once
#include "model/parallel/rank_grid.h"
#include "model/parallel/team.h"
#include "trainer/optim/parameters.h"
#include "trainer/probe.h"

namespace polygraft::trainer {

class RunRanks : public parallel::Team {
 public:
  /// @param grid is referred to; null: this process alone.
  explicit RunRanks(const parallel::RankGrid* grid)
      : Team(grid == nullptr ? nullptr : &grid->world()), grid_(grid) {}

  const parallel::RankGrid* grid() const { return grid_; }

  /// What every rank has computed for itself must agree before the first one's is written.
  /// @throws RankError naming the first rank whose values are not rank 0's.
  void require_same_values(const Parameters& parameters) const;

  /// Every language's line, from a rank of the team that has probed it. @param num_teams equal
  /// ones, of neighbours.
  ProbeResult gathered(ProbeResult own, int num_teams) const;

 private:
  const parallel::RankGrid* grid_;
};

}  // namespace polygraft::trainer
