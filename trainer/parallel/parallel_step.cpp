// trainer/parallel/parallel_step.cpp: see parallel_step.h.
#include "trainer/parallel/parallel_step.h"

#include "core/error.h"
#include "core/text.h"

namespace polygraft::trainer {
namespace {

/// What one rank's piece cost, in words that travel.
struct PieceReport {
  int64_t counts = 0;
  StepLoss loss;
};

/// Adds all ranks' to `sum`, one after another.
void add_in_order(parallel::Communicator& world, const PieceReport& own, StepLoss& sum) {
  std::vector<PieceReport> all(static_cast<size_t>(world.size()));
  world.all_gather(std::as_bytes(std::span(&own, 1)), std::as_writable_bytes(std::span(all)));
  for (const PieceReport& report : all) {
    if (report.counts != 0) sum += report.loss;
  }
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
  StepLoss loss;
  for (size_t first = 0; first < pieces.size(); first += num_ranks) {
    const size_t index = first + static_cast<size_t>(grid_.rank());
    PieceReport own;
    own.counts = index < pieces.size() ? 1 : 0;
    const Piece& piece = own.counts != 0 ? pieces[index] : Piece{};
    own.loss = objective_.backward_piece(piece, totals, multipliers);
    add_in_order(grid_.world(), own, loss);
    gradients_.add_round(own.counts != 0);
  }
  gradients_.finish();
  return loss;
}

}  // namespace polygraft::trainer
