// eval/sequence_scoring.cpp: see sequence_scoring.h.
// Batches are laid end to end without padding (batch.h), so sorting by length serves the attention
// kernels alone.
#include "eval/sequence_scoring.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>

#include "core/error.h"
#include "core/hash.h"
#include "core/progress.h"
#include "core/text.h"
#include "eval/passes.h"
#include "eval/score_log.h"
#include "model/architecture/token_nll.h"
#include "model/architecture/upload.h"

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

int64_t num_tokens(std::span<const SequenceBatch> batches) {
  int64_t tokens = 0;
  for (const SequenceBatch& batch : batches)
    for (const ScoredSequence* sequence : batch) tokens += length_of(*sequence);
  return tokens;
}

/// Both kinds, where there are two, sequence by sequence.
std::vector<double> scores_of(const SequenceBatch& batch) {
  std::vector<double> scores;
  for (const ScoredSequence* sequence : batch) {
    for (const auto& nats_L : {sequence->nats_L, sequence->head_masked_L})
      scores.insert(scores.end(), nats_L.begin(), nats_L.end());
  }
  return scores;
}

void set_scores(const std::vector<double>& scores, bool head_masked_too,
                const SequenceBatch& batch) {
  auto nats = scores.begin();
  for (ScoredSequence* sequence : batch) {
    sequence->nats_L.assign(nats, nats + length_of(*sequence));
    nats += length_of(*sequence);
    if (!head_masked_too) continue;
    sequence->head_masked_L.assign(nats, nats + length_of(*sequence));
    nats += length_of(*sequence);
  }
}

/// Gives every rank the scores of all batches. @param owner_of the rank that has a batch's.
void share_scores(std::span<const SequenceBatch> batches, const ScoreOptions& options,
                  const std::function<int(size_t)>& owner_of) {
  if (options.team.is_alone()) return;
  std::vector<std::vector<double>> scores(batches.size());
  parallel::Deliveries deliveries(options.team);
  for (size_t b = 0; b < batches.size(); ++b) {
    if (owner_of(b) == options.team.rank()) scores[b] = scores_of(batches[b]);
    scores[b].resize(static_cast<size_t>(num_tokens(batches.subspan(b, 1))) *
                     (options.head_masked_too ? 2 : 1));
    deliveries.to_all(owner_of(b), std::as_writable_bytes(std::span(scores[b])));
  }
  deliveries.wait();
  for (size_t b = 0; b < batches.size(); ++b)
    set_scores(scores[b], options.head_masked_too, batches[b]);
}

/// Called with batches whose sequences have their scores now.
using OnScored = std::function<void(std::span<const SequenceBatch>)>;

class BatchScorer {
 public:
  BatchScorer(const model::Transformer& transformer, const ScoreOptions& options)
      : transformer_(transformer), options_(options) {}

  /// Sets `nats_L` of every sequence, on every rank, pass after pass.
  /// @throws NumericError for scores that are not finite.
  void score(std::span<const SequenceBatch> batches, Progress* progress,
             const OnScored& on_scored) const {
    std::vector<model::Batch> flat;
    for (const SequenceBatch& batch : batches) flat.push_back(flatten(batch, &TokenWindow::inputs));
    PassOptions passes{options_.mask, options_.observer, progress, most_tokens(), options_.team};
    passes.after_pass = [&](PassRange pass) {
      const auto scored = batches.subspan(pass.first, pass.end - pass.first);
      share_scores(scored, options_,
                   [&](size_t b) { return options_.team.owner_of(pass.first + b); });
      on_scored(scored);
    };
    run_passes(transformer_, flat, passes,
               [&](size_t b, const at::Tensor& hidden_TD) { take(batches[b], hidden_TD); });
  }

 private:
  /// A pass ends before its batches are logged: small models get shorter passes than they could.
  int64_t most_tokens() const {
    constexpr int64_t kLoggedTokens = 32768;
    const int64_t most = transformer_.tokens_per_pass();
    return options_.log.empty() ? most : std::min(most, kLoggedTokens);
  }

  void take(const SequenceBatch& batch, const at::Tensor& hidden_TD) const {
    const at::Tensor targets_T = flatten(batch, &TokenWindow::targets).ids_T;
    // The head sees what is scored alone: a prompt's tokens are most of a task's.
    const at::Tensor scored_S = at::nonzero(targets_T >= 0).squeeze(1);
    const auto hidden_SD = hidden_TD.index_select(0, model::sent_to(hidden_TD.device(), scored_S));
    const auto targets_S = targets_T.index_select(0, scored_S);
    const model::SplitRows& head = transformer_.weights().head;
    if (options_.head_masked_too) {
      const model::TokenNll nll = model::token_nll_both_ways(hidden_SD, targets_S, head);
      hand_out(nll.all_T, scored_S, batch, &ScoredSequence::nats_L);
      hand_out(nll.masked_T, scored_S, batch, &ScoredSequence::head_masked_L);
    } else {
      hand_out(model::token_nll(hidden_SD, targets_S, head, options_.mask.head), scored_S, batch,
               &ScoredSequence::nats_L);
    }
  }

  /// @param scored_S which of the batch's tokens have scores; the others' are 0.
  static void hand_out(const at::Tensor& nll_S, const at::Tensor& scored_S,
                       const SequenceBatch& batch, std::vector<double> ScoredSequence::*part) {
    const auto nll_T = at::zeros({num_tokens(std::span(&batch, 1))}, at::kDouble);
    nll_T.index_copy_(0, scored_S, nll_S.cpu());
    const double* nll = nll_T.const_data_ptr<double>();
    for (ScoredSequence* sequence : batch) {
      std::vector<double>& nats_L = sequence->*part;
      nats_L.assign(nll, nll + length_of(*sequence));
      nll += length_of(*sequence);
      for (const double nats : nats_L) {
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
    flat.ids_T = at::tensor(ids, at::kLong);
    return flat;
  }

  const model::Transformer& transformer_;
  const ScoreOptions& options_;
};

/// A batch failed, the first of these or a later one of its pass: this rank scores sequences one by
/// one to name the one to blame, if it can do so alone.
[[noreturn]] void blame_owner(const model::Transformer& transformer, ScoreOptions options,
                              std::span<const SequenceBatch> batches,
                              const std::function<std::string(size_t)>& name_of,
                              const NumericError& error) {
  if (transformer.shares_experts()) throw error;
  options.team = {};
  const BatchScorer scorer(transformer, options);
  for (const SequenceBatch& batch : batches) {
    for (ScoredSequence* sequence : batch) {
      try {
        const std::vector<SequenceBatch> alone = {{sequence}};
        scorer.score(alone, nullptr, [](std::span<const SequenceBatch>) {});
      } catch (const NumericError& alone) {
        throw NumericError(name_of(sequence->owner), "it cannot be scored")
            .found(alone.what())
            .hint("the model's weights may hold NaN or infinity: copy or convert the model again");
      }
    }
  }
  throw error;
}

/// What the scores depend on: the model (`log_key`), what of it takes part, every token, and which
/// batches and threads round them.
std::string log_key(const std::vector<ScoredSequence>& sequences, const ScoreOptions& options) {
  Sha256 hash;
  const auto add = [&](const std::vector<int64_t>& values) {
    const auto size = static_cast<int64_t>(values.size());
    hash.update(&size, sizeof(size));
    hash.update(values.data(), values.size() * sizeof(int64_t));
  };
  const model::Mask& mask = options.mask;
  hash.update(options.log_key + "\n");
  add({mask.experts, mask.head, mask.silence_experts, mask.embedding, options.batch_tokens,
       at::get_num_threads(), options.head_masked_too});
  for (const ScoredSequence& sequence : sequences) {
    add(sequence.window.inputs);
    add(sequence.window.targets);
    add(sequence.branches);
  }
  return hash.finish();
}

/// Gives the first batches their logged scores, which the first rank has. @return how many those
/// are.
size_t restore(std::span<const SequenceBatch> batches, const std::optional<ScoreLog>& log,
               const ScoreOptions& options) {
  uint64_t num_logged = log ? log->batches().size() : 0;
  parallel::Deliveries count(options.team);
  count.to_all(0, std::as_writable_bytes(std::span(&num_logged, 1)));
  count.wait();
  for (size_t b = 0; log && b < num_logged; ++b)
    set_scores(log->batches()[b], options.head_masked_too, batches[b]);
  share_scores(batches.first(num_logged), options, [](size_t) { return 0; });
  return num_logged;
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
  const std::vector<SequenceBatch> batches = make_batches(sequences, options.batch_tokens);
  const bool is_keyed = !options.log.empty() || !options.team.is_alone();
  const std::string key = is_keyed ? log_key(sequences, options) : "";
  options.team.require_same(concat(key, options.log.empty()));
  std::optional<ScoreLog> log;
  if (!options.log.empty() && options.team.is_first()) log.emplace(options.log, key);
  std::span<const SequenceBatch> rest = batches;
  rest = rest.subspan(restore(batches, log, options));
  std::optional<Progress> progress;
  if (!options.progress_label.empty()) {
    const int64_t total = num_tokens(batches);
    progress.emplace(options.progress_label, static_cast<uint64_t>(total), "tokens");
    progress->resume_at(static_cast<uint64_t>(total - num_tokens(rest)));
  }
  try {
    scorer.score(rest, progress ? &*progress : nullptr, [&](std::span<const SequenceBatch> scored) {
      for (const SequenceBatch& batch : scored)
        if (log) log->append(scores_of(batch));
      rest = rest.subspan(scored.size());
    });
  } catch (const NumericError& error) {
    blame_owner(transformer, options, rest, name_of, error);
  }
  if (progress) progress->finish();
}

}  // namespace polygraft::eval
