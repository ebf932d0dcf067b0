// eval/scoring.h: the one scoring path: bits per byte of documents under a model.
// A document is scored as lm-evaluation-harness does (loglikelihood_rolling): conditioned on BOS
// (EOS where there is none), every token counted, divided by the UTF-8 bytes of the text as given.
// Where a tokenizer's template writes BOS itself, lm-evaluation-harness scores that BOS behind
// another one, unless its model_args say add_bos_token=False; here it is never scored.
// Longer than the context: windows with full coverage, each token scored once. What a document has
// before its text (Document::context) is read and counts for nothing.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "model/architecture/transformer.h"
#include "model/parallel/team.h"
#include "tokenizer/corpus.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::eval {

/// Where in a document a token stands: the first, the next ones up to the 4th, the 16th and the
/// 64th, and all beyond. Interference sits where a router cannot know the language yet.
constexpr std::array<const char*, 5> kPositionBands = {"1", "2-4", "5-16", "17-64", "65-"};
using NatsByPosition = std::array<double, kPositionBands.size()>;
/// @param position of a token in its document, from 0.
size_t position_band(int64_t position);

struct DocumentScore {
  std::string id;
  std::string text_hash;  ///< SHA-256 of context and text, for pairing
  int64_t num_bytes = 0;
  int64_t num_tokens = 0;
  double nats = 0;  ///< total negative log-likelihood
  NatsByPosition nats_by_position = {};
  // With ScoreOptions::head_masked_too:
  double head_masked_nats = 0;  ///< the same hidden states, added vocabulary rows left out
  double leaked_mass = 0;       ///< sum over old tokens of the probability that added rows take
};

struct ScoreOptions {
  model::Mask mask;
  int64_t max_context_tokens =
      0;  ///< window, prefix included; 0: the model's max_positions, at most 2048
  int64_t batch_tokens =
      4096;  ///< documents of similar length share a batch of about this many tokens
  std::string progress_label;      ///< "" = silent
  bool head_masked_too = false;    ///< score without the added vocabulary rows as well, for little:
                                   ///< the layers are computed once
  model::RouterObserver observer;  ///< called per layer and batch of this rank; may be empty
  std::filesystem::path log;       ///< keeps finished batches (score_log.h), so that a killed call
                                   ///< continues; "": not kept
  std::string log_key;       ///< what scores depend on beside texts and options: the model's hash
  parallel::Team team = {};  ///< shares the batches out; the first rank alone has the log
};

/// @return the same on every rank of the team. @throws ConfigError when they were not called alike.
std::vector<DocumentScore> score_documents(const model::Transformer& transformer,
                                           const tokenizer::Tokenizer& tokenizer,
                                           const std::vector<tokenizer::Document>& documents,
                                           const ScoreOptions& options);

/// Sum of nats / ln 2 / sum of bytes.
double bits_per_byte(const std::vector<DocumentScore>& scores);

}  // namespace polygraft::eval
