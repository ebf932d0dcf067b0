// trainer/parallel/shared_optimizer.h: AdamW on several ranks: each moves its share of what trains,
// has the moments of that share alone, and sends the new values to all. Every bit is one process's:
// updates are elementwise, and norms are added up block by block in one order. A process that
// trains alone has the whole as its share, and sends nothing.
#pragma once
#include <functional>

#include "model/parallel/rank_grid.h"
#include "trainer/optim/adamw.h"
#include "trainer/parallel/shares.h"

namespace polygraft::trainer {

/// A rank's part of both moments of one parameter.
struct Moments {
  size_t parameter = 0;
  parallel::Slice elements;  ///< of the parameter's
  at::Tensor first, second;
};

class SharedOptimizer {
 public:
  /// @param grid is referred to; null: this process alone.
  SharedOptimizer(const parallel::RankGrid* grid, const Parameters& parameters,
                  const OptimizerConfig& config);

  const Shares& shares() const { return shares_; }

  /// As trainer::clip_gradients() of all that trains. @return the same norm on every rank.
  double clip_gradients(double max_norm);
  /// From the gradients of this rank's share, which are then cleared; every rank ends with all
  /// values.
  void step(double learning_rate);
  /// As AdamW::reset().
  void reset() { adamw_.reset(); }

  // Everything that a checkpoint must hold.
  int64_t num_updates() const { return adamw_.num_updates(); }
  void set_num_updates(int64_t count) { adamw_.set_num_updates(count); }
  /// To be written to when a checkpoint is read.
  std::vector<Moments> own_moments() const;
  using TakeMoments = std::function<void(const Moments& whole)>;
  /// All ranks call it: `take` gets every parameter's moments, one after another, on the first
  /// rank.
  void gather_moments(const TakeMoments& take) const;

 private:
  int rank() const { return grid_ == nullptr ? 0 : grid_->rank(); }
  std::vector<double> gathered(const std::vector<double>& own_norms) const;
  at::Tensor gathered(const at::Tensor& own_moment, size_t parameter) const;
  void share_values() const;

  const parallel::RankGrid* grid_;
  Parameters parameters_;
  Shares shares_;
  Parameters own_;
  AdamW adamw_;
};

}  // namespace polygraft::trainer
