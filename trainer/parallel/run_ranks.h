// trainer/parallel/run_ranks.h: what the ranks of one run have to agree on outside of a step: who
// writes, in which turn text is prepared, when to stop, what a probe has found. A process that
// trains alone is the first of one rank, and none of this costs it anything.
#pragma once
#include <string>

#include "model/parallel/rank_grid.h"
#include "trainer/probe.h"

namespace polygraft::trainer {

class RunRanks {
 public:
  /// @param grid is referred to; null: this process alone.
  explicit RunRanks(const parallel::RankGrid* grid) : grid_(grid) {}

  const parallel::RankGrid* grid() const { return grid_; }
  int rank() const { return grid_ == nullptr ? 0 : grid_->rank(); }
  int size() const { return grid_ == nullptr ? 1 : grid_->size(); }
  /// The only one that writes to run_dir and output.
  bool is_first() const { return rank() == 0; }

  void wait_for_all() const;

  /// `work` on the first rank, then on the others, which find what it has written.
  template <class Work>
  auto in_turn(const Work& work) const {
    if (!is_first()) wait_for_all();
    auto result = work();
    if (is_first()) wait_for_all();
    return result;
  }

  /// All after the same step, once any of them was told to. @throws Interrupted.
  void throw_if_stopped() const;

  /// @throws ConfigError naming the first rank that has not got the same `settings`.
  void require_same(const std::string& settings) const;

  /// Every language's line, from the rank that has probed it.
  ProbeResult gathered(ProbeResult own) const;

 private:
  const parallel::RankGrid* grid_;
};

}  // namespace polygraft::trainer
