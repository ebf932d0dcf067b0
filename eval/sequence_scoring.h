// eval/sequence_scoring.h: token sequences -> nats per token, in batches of similar length. What
// bits per byte and multiple choice share.
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "eval/scoring.h"
#include "eval/windows.h"

namespace polygraft::eval {

/// A sequence to score, and what it belongs to.
struct ScoredSequence {
  size_t owner = 0;  ///< index of a document or question
  TokenWindow window;
  std::vector<int64_t> branches = {};  ///< model/architecture/batch.h
  std::vector<double> nats_L = {};     ///< the result, per input: 0 where the target is -1
  /// With ScoreOptions::head_masked_too: the same without added vocabulary rows, 0 as well for a
  /// target that is one of them.
  std::vector<double> head_masked_L = {};
};

/// The longest sequence that is scored at once, prefix included.
/// @throws ConfigError when the options ask for more than the model has.
int64_t context_tokens(const model::Transformer& transformer, const ScoreOptions& options);

/// Sets `nats_L` of every sequence. @param name_of an owner, for errors.
/// @throws NumericError naming the owner whose score is not finite; ConfigError for batch_tokens.
void score_sequences(std::vector<ScoredSequence>& sequences, const model::Transformer& transformer,
                     const ScoreOptions& options,
                     const std::function<std::string(size_t owner)>& name_of);

}  // namespace polygraft::eval
