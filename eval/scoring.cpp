// eval/scoring.cpp: documents -> windows -> batches of similar length -> nats per document.
// Batches are laid end to end without padding (transformer.h), so sorting by length serves the
// attention kernels alone.
#include "eval/scoring.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "core/error.h"
#include "core/hash.h"
#include "core/parallel.h"
#include "core/progress.h"
#include "core/stop.h"
#include "core/text.h"
#include "eval/windows.h"
#include "model/architecture/head_loss.h"

namespace polygraft::eval {
namespace {

constexpr int64_t kLongestDefaultContext = 2048;

/// A window and the document it belongs to.
struct Piece {
  size_t document = 0;
  TokenWindow window;
  double nats = 0;
  int64_t length() const { return static_cast<int64_t>(window.inputs.size()); }
};
using PieceBatch = std::vector<Piece*>;

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

/// Windows of every document, in document order; fills the scores' counts.
std::vector<Piece> cut_documents(const std::vector<tokenizer::Document>& documents,
                                 const tokenizer::Tokenizer& tokenizer, int64_t max_tokens,
                                 std::vector<DocumentScore>& scores) {
  std::vector<std::vector<tokenizer::TokenId>> encoded(documents.size());
  parallel_for(documents.size(), /*num_threads=*/0,
               [&](size_t d) { encoded[d] = tokenizer.encode(documents[d].text); });
  std::vector<Piece> pieces;
  for (size_t d = 0; d < documents.size(); ++d) {
    const std::vector<tokenizer::TokenId>& tokens = encoded[d];
    scores[d].num_tokens = static_cast<int64_t>(tokens.size());
    for (TokenWindow& window : rolling_windows(tokens, tokenizer.prefix_id(), max_tokens)) {
      pieces.push_back({d, std::move(window)});
    }
  }
  return pieces;
}

/// Longest first, so that the largest batch comes first and memory does not grow in mid-run; ties
/// in document order.
std::vector<PieceBatch> make_batches(std::vector<Piece>& pieces, int64_t batch_tokens) {
  std::vector<Piece*> order;
  for (Piece& piece : pieces) order.push_back(&piece);
  std::stable_sort(order.begin(), order.end(),
                   [](const Piece* a, const Piece* b) { return a->length() > b->length(); });
  std::vector<PieceBatch> batches;
  int64_t filled = 0;
  for (Piece* piece : order) {
    if (batches.empty() || filled + piece->length() > batch_tokens) {
      batches.emplace_back();
      filled = 0;
    }
    batches.back().push_back(piece);
    filled += piece->length();
  }
  return batches;
}

class BatchScorer {
 public:
  BatchScorer(const model::Transformer& transformer, const ScoreOptions& options)
      : transformer_(transformer), options_(options) {}

  /// Sets `nats` of every piece. @throws NumericError for scores that are not finite.
  void score(const PieceBatch& batch) const {
    const model::Batch flat = flatten(batch, &TokenWindow::inputs);
    const at::Tensor targets_T = flatten(batch, &TokenWindow::targets).ids_T;
    const at::Tensor hidden_TD = transformer_.hidden(flat, options_.mask, options_.observer);
    const at::Tensor nll_T =
        model::token_nll(hidden_TD, targets_T, transformer_.weights().head, options_.mask.head)
            .cpu();
    const double* nll = nll_T.const_data_ptr<double>();
    for (Piece* piece : batch) {
      piece->nats = std::accumulate(nll, nll + piece->length(), 0.0);
      nll += piece->length();
      if (std::isfinite(piece->nats)) continue;
      throw NumericError("scoring", "the log-likelihood is not finite").found(concat(piece->nats));
    }
  }

 private:
  model::Batch flatten(const PieceBatch& batch, std::vector<int64_t> TokenWindow::*part) const {
    std::vector<int64_t> ids;
    model::Batch flat;
    for (const Piece* piece : batch) {
      const std::vector<int64_t>& values = piece->window.*part;
      ids.insert(ids.end(), values.begin(), values.end());
      flat.lengths.push_back(piece->length());
    }
    const at::Device device = transformer_.weights().embedding.base.device();
    flat.ids_T = at::tensor(ids, at::kLong).to(device);
    return flat;
  }

  const model::Transformer& transformer_;
  const ScoreOptions& options_;
};

/// A batch failed: scores its documents one by one to name the one to blame.
[[noreturn]] void blame_document(const BatchScorer& scorer, const PieceBatch& batch,
                                 const std::vector<tokenizer::Document>& documents,
                                 const NumericError& error) {
  for (Piece* piece : batch) {
    try {
      scorer.score({piece});
    } catch (const NumericError& alone) {
      throw NumericError(concat("document '", documents[piece->document].id, "'"),
                         "it cannot be scored")
          .found(alone.what())
          .hint("the model's weights may hold NaN or infinity; run `polygraft inspect` on it");
    }
  }
  throw error;
}

/// Sets `nats` of every piece, with progress under `label` unless that is empty.
void score_pieces(std::vector<Piece>& pieces, const BatchScorer& scorer,
                  const std::vector<tokenizer::Document>& documents, const ScoreOptions& options) {
  uint64_t num_tokens = 0;
  for (const Piece& piece : pieces) num_tokens += static_cast<uint64_t>(piece.length());
  std::optional<Progress> progress;
  if (!options.progress_label.empty())
    progress.emplace(options.progress_label, num_tokens, "tokens");
  for (const PieceBatch& batch : make_batches(pieces, options.batch_tokens)) {
    throw_if_stopped();
    try {
      scorer.score(batch);
    } catch (const NumericError& error) {
      blame_document(scorer, batch, documents, error);
    }
    if (!progress) continue;
    for (const Piece* piece : batch) progress->advance(static_cast<uint64_t>(piece->length()));
  }
  if (progress) progress->finish();
}

}  // namespace

std::vector<DocumentScore> score_documents(const model::Transformer& transformer,
                                           const tokenizer::Tokenizer& tokenizer,
                                           const std::vector<tokenizer::Document>& documents,
                                           const ScoreOptions& options) {
  if (options.batch_tokens < 1) {
    throw ConfigError("batch_tokens", "no token fits")
        .expected(">= 1")
        .found(concat(options.batch_tokens));
  }
  const at::NoGradGuard no_grad;
  const int64_t max_tokens = context_tokens(transformer, options);
  std::vector<DocumentScore> scores(documents.size());
  std::vector<Piece> pieces = cut_documents(documents, tokenizer, max_tokens, scores);
  score_pieces(pieces, BatchScorer(transformer, options), documents, options);
  for (const Piece& piece : pieces) scores[piece.document].nats += piece.nats;  // in document order
  for (size_t d = 0; d < documents.size(); ++d) {
    scores[d].id = documents[d].id;
    scores[d].text_hash = sha256(documents[d].text);
    scores[d].num_bytes = static_cast<int64_t>(documents[d].text.size());
  }
  return scores;
}

}  // namespace polygraft::eval
