// trainer/parallel/parallel_step.h: forward and backward of one step on all ranks of a grid. The
// step's pieces, cut by micro_batch_tokens as on one process, go to ranks in turn; experts are
// shared out over the rows of the grid; gradients and losses are summed in the pieces' order, so
// that their bits do not depend on the grid. Every rank ends with the gradients of its share of
// what trains, for its part of the optimizer's step (shared_optimizer.h).
#pragma once
#include "trainer/objective/objective.h"
#include "trainer/parallel/gradient_sum.h"

namespace polygraft::trainer {

/// @throws ConfigError when `config` does not cut a step into pieces: the pieces decide its bits,
/// and cut by the number of ranks they would depend on it.
void require_pieces(const TrainConfig& config, int num_ranks);

class ParallelStep {
 public:
  /// @param grid, experts (of the grid's row) and shares are referred to; the latter of tensors of
  /// the transformer's weights.
  ParallelStep(const parallel::RankGrid& grid, model::ExpertParallel& experts,
               const model::Transformer& transformer, tokenizer::TokenId prefix,
               const TrainConfig& config, const Shares& shares);
  ParallelStep(const ParallelStep&) = delete;  // parts refer to one another
  ParallelStep& operator=(const ParallelStep&) = delete;

  /// As Objective::backward(), with the same rows on every rank.
  StepLoss backward(const StepRows& rows, const Multipliers& multipliers);

 private:
  const parallel::RankGrid& grid_;
  int64_t micro_batch_tokens_;
  model::Transformer transformer_;
  Objective objective_;
  GradientSum gradients_;
};

}  // namespace polygraft::trainer
