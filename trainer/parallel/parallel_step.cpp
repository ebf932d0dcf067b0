// trainer/parallel/parallel_step.cpp: see parallel_step.h.
#include "trainer/parallel/parallel_step.h"

#include "core/error.h"
#include "core/text.h"

namespace polygraft::trainer {
namespace {

/// @param own of this rank's pieces, one a round. @return all ranks', added up in the pieces'
/// order.
StepLoss sum_of_all(parallel::Communicator& world, const std::vector<PieceLoss>& own,
                    size_t num_pieces) {
  const auto num_ranks = static_cast<size_t>(world.size());
  const size_t num_rounds = (num_pieces + num_ranks - 1) / num_ranks;
  std::vector<StepLoss> mine = PieceLoss::read(own), all(num_rounds * num_ranks);
  mine.resize(num_rounds);
  world.all_gather(std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(all)));
  StepLoss sum;
  for (size_t i = 0; i < num_pieces; ++i) sum += all[i % num_ranks * num_rounds + i / num_ranks];
  return sum;
}

}  // namespace

void require_pieces(const TrainConfig& config, int num_ranks) {
  if (config.micro_batch_tokens > 0) return;
  throw ConfigError("train.micro_batch_tokens", "several ranks share a step by its micro-batches")
      .expected(concat("about ", config.batch_tokens / num_ranks + config.sequence_length,
                       " (batch_tokens / ranks + sequence_length), or a part of that"))
      .found("0: the whole step at once")
      .hint("it decides the bits of a result, which the number of ranks does not");
}

ParallelStep::ParallelStep(const parallel::RankGrid& grid, model::ExpertParallel& experts,
                           const model::Transformer& transformer, tokenizer::TokenId prefix,
                           const TrainConfig& config, const Shares& shares)
    : grid_(grid),
      micro_batch_tokens_(config.micro_batch_tokens),
      transformer_(grid.shares_experts() ? transformer.with_shared_experts(experts) : transformer),
      objective_(transformer_, prefix, config, grid.shares_experts()),
      gradients_(grid, shares, experts) {}

StepLoss ParallelStep::backward(const StepRows& rows, const Multipliers& multipliers) {
  const StepTotals totals = objective_.count(rows);
  const std::vector<Piece> pieces = cut_pieces(rows, micro_batch_tokens_);
  const auto num_ranks = static_cast<size_t>(grid_.size());
  std::vector<PieceLoss> losses;
  for (size_t first = 0; first < pieces.size(); first += num_ranks) {
    const size_t index = first + static_cast<size_t>(grid_.rank());
    const bool counts = index < pieces.size();
    PieceLoss loss =
        objective_.backward_piece(counts ? pieces[index] : Piece{}, totals, multipliers);
    if (counts) losses.push_back(std::move(loss));
    gradients_.add_round(counts);
  }
  gradients_.finish();
  return sum_of_all(grid_.world(), losses, pieces.size());
}

}  // namespace polygraft::trainer
