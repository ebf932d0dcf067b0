// eval/sequence_scoring.cpp: see sequence_scoring.h.
// Batches are laid end to end without padding (batch.h), so sorting by length serves the attention
// kernels alone.
#include "eval/sequence_scoring.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/error.h"
#include "core/progress.h"
#include "core/text.h"
#include "eval/passes.h"
#include "model/architecture/head_loss.h"

namespace polygraft::eval {
namespace {

constexpr int64_t kLongestDefaultContext = 2048;

using SequenceBatch = std::vector<ScoredSequence*>;

int64_t length_of(const ScoredSequence& sequence) {
  return static_cast<int64_t>(sequence.window.inputs.size());
}

/// Longest first, so that the largest batch comes first and memory does not grow in mid-run; ties
/// in the given order.
std::vector<SequenceBatch> make_batches(std::vector<ScoredSequence>& sequences,
                                        int64_t batch_tokens) {
  SequenceBatch order;
  for (ScoredSequence& sequence : sequences) order.push_back(&sequence);
  std::stable_sort(order.begin(), order.end(),
                   [](const auto* a, const auto* b) { return length_of(*a) > length_of(*b); });
  std::vector<SequenceBatch> batches;
  int64_t filled = 0;
  for (ScoredSequence* sequence : order) {
    if (batches.empty() || filled + length_of(*sequence) > batch_tokens) {
      batches.emplace_back();
      filled = 0;
    }
    batches.back().push_back(sequence);
    filled += length_of(*sequence);
  }
  return batches;
}

class BatchScorer {
 public:
  BatchScorer(const model::Transformer& transformer, const ScoreOptions& options)
      : transformer_(transformer), options_(options) {}

  /// Sets `nats_L` of every sequence, batch after batch; `num_scored` counts finished batches.
  /// @throws NumericError for scores that are not finite.
  void score(const std::vector<SequenceBatch>& batches, Progress* progress,
             size_t& num_scored) const {
    std::vector<model::Batch> flat;
    for (const SequenceBatch& batch : batches) flat.push_back(flatten(batch, &TokenWindow::inputs));
    run_passes(transformer_, flat, {options_.mask, options_.observer, progress},
               [&](size_t b, const at::Tensor& hidden_TD) {
                 take(batches[b], hidden_TD);
                 num_scored = b + 1;
               });
  }

 private:
  void take(const SequenceBatch& batch, const at::Tensor& hidden_TD) const {
    const at::Tensor targets_T = flatten(batch, &TokenWindow::targets).ids_T;
    const at::Tensor nll_T =
        model::token_nll(hidden_TD, targets_T, transformer_.weights().head, options_.mask.head)
            .cpu();
    const double* nll = nll_T.const_data_ptr<double>();
    for (ScoredSequence* sequence : batch) {
      sequence->nats_L.assign(nll, nll + length_of(*sequence));
      nll += length_of(*sequence);
      for (const double nats : sequence->nats_L) {
        if (std::isfinite(nats)) continue;
        throw NumericError("scoring", "the log-likelihood is not finite").found(concat(nats));
      }
    }
  }

  model::Batch flatten(const SequenceBatch& batch, std::vector<int64_t> TokenWindow::*part) const {
    std::vector<int64_t> ids;
    model::Batch flat;
    for (const ScoredSequence* sequence : batch) {
      const std::vector<int64_t>& values = sequence->window.*part;
      ids.insert(ids.end(), values.begin(), values.end());
      flat.lengths.push_back(length_of(*sequence));
      flat.branches.push_back(sequence->branches);
    }
    const at::Device device = transformer_.weights().embedding.base.device();
    flat.ids_T = at::tensor(ids, at::kLong).to(device);
    return flat;
  }

  const model::Transformer& transformer_;
  const ScoreOptions& options_;
};

/// A batch failed, `first` or a later one of its pass: scores sequences one by one to name the one
/// to blame.
[[noreturn]] void blame_owner(const BatchScorer& scorer, const std::vector<SequenceBatch>& batches,
                              size_t first, const std::function<std::string(size_t)>& name_of,
                              const NumericError& error) {
  for (size_t b = first; b < batches.size(); ++b) {
    for (ScoredSequence* sequence : batches[b]) {
      try {
        size_t num_scored = 0;
        scorer.score({SequenceBatch{sequence}}, nullptr, num_scored);
      } catch (const NumericError& alone) {
        throw NumericError(name_of(sequence->owner), "it cannot be scored")
            .found(alone.what())
            .hint("the model's weights may hold NaN or infinity; run `polygraft inspect` on it");
      }
    }
  }
  throw error;
}

}  // namespace

int64_t context_tokens(const model::Transformer& transformer, const ScoreOptions& options) {
  const int64_t max_positions = transformer.config().max_positions;
  if (options.max_context_tokens == 0) return std::min(max_positions, kLongestDefaultContext);
  if (options.max_context_tokens > 0 && options.max_context_tokens <= max_positions) {
    return options.max_context_tokens;
  }
  throw ConfigError("max_context_tokens", "the model has no such context")
      .expected(concat("1 to ", max_positions, ", or 0 for the default"))
      .found(concat(options.max_context_tokens));
}

void score_sequences(std::vector<ScoredSequence>& sequences, const model::Transformer& transformer,
                     const ScoreOptions& options,
                     const std::function<std::string(size_t owner)>& name_of) {
  if (options.batch_tokens < 1) {
    throw ConfigError("batch_tokens", "no token fits")
        .expected(">= 1")
        .found(concat(options.batch_tokens));
  }
  const at::NoGradGuard no_grad;
  const BatchScorer scorer(transformer, options);
  int64_t num_tokens = 0;
  for (const ScoredSequence& sequence : sequences) num_tokens += length_of(sequence);
  std::optional<Progress> progress;
  if (!options.progress_label.empty()) {
    progress.emplace(options.progress_label, static_cast<uint64_t>(num_tokens), "tokens");
  }
  const std::vector<SequenceBatch> batches = make_batches(sequences, options.batch_tokens);
  size_t num_scored = 0;
  try {
    scorer.score(batches, progress ? &*progress : nullptr, num_scored);
  } catch (const NumericError& error) {
    blame_owner(scorer, batches, num_scored, name_of, error);
  }
  if (progress) progress->finish();
}

}  // namespace polygraft::eval
