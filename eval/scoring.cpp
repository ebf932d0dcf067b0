// eval/scoring.cpp: documents -> windows -> nats per document.
#include "eval/scoring.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/hash.h"
#include "core/parallel.h"
#include "core/text.h"
#include "eval/sequence_scoring.h"

namespace polygraft::eval {
namespace {

/// Windows of every document, in document order; fills the scores' counts.
std::vector<ScoredSequence> cut_documents(const std::vector<tokenizer::Document>& documents,
                                          const tokenizer::Tokenizer& tokenizer, int64_t max_tokens,
                                          std::vector<DocumentScore>& scores) {
  std::vector<std::vector<tokenizer::TokenId>> encoded(documents.size());
  parallel_for(documents.size(), /*num_threads=*/0,
               [&](size_t d) { encoded[d] = tokenizer.encode(documents[d].text); });
  std::vector<ScoredSequence> windows;
  for (size_t d = 0; d < documents.size(); ++d) {
    const std::vector<tokenizer::TokenId>& tokens = encoded[d];
    scores[d].num_tokens = static_cast<int64_t>(tokens.size());
    for (TokenWindow& window : rolling_windows(tokens, tokenizer.prefix_id(), max_tokens)) {
      windows.push_back({d, std::move(window)});
    }
  }
  return windows;
}

/// Adds what the windows of a document were worth; they come in document order.
class DocumentSum {
 public:
  explicit DocumentSum(DocumentScore& score) : score_(score) {}

  void add(const ScoredSequence& window) {
    score_.nats += std::accumulate(window.nats_L.begin(), window.nats_L.end(), 0.0);
    for (size_t i = 0; i < window.nats_L.size(); ++i) {
      if (window.window.targets[i] < 0) continue;  // scored in an earlier window
      score_.nats_by_position[position_band(position_++)] += window.nats_L[i];
      if (window.head_masked_L.empty()) continue;
      score_.head_masked_nats += window.head_masked_L[i];
      score_.leaked_mass -= std::expm1(window.head_masked_L[i] - window.nats_L[i]);
    }
  }

 private:
  DocumentScore& score_;
  int64_t position_ = 0;
};

}  // namespace

size_t position_band(int64_t position) {
  constexpr std::array<int64_t, kPositionBands.size() - 1> kEnds = {1, 4, 16, 64};
  const auto end = std::upper_bound(kEnds.begin(), kEnds.end(), position);
  return static_cast<size_t>(end - kEnds.begin());
}

std::vector<DocumentScore> score_documents(const model::Transformer& transformer,
                                           const tokenizer::Tokenizer& tokenizer,
                                           const std::vector<tokenizer::Document>& documents,
                                           const ScoreOptions& options) {
  std::vector<DocumentScore> scores(documents.size());
  std::vector<ScoredSequence> windows =
      cut_documents(documents, tokenizer, context_tokens(transformer, options), scores);
  score_sequences(windows, transformer, options,
                  [&](size_t d) { return concat("document '", documents[d].id, "'"); });
  std::vector<DocumentSum> sums(scores.begin(), scores.end());
  for (const ScoredSequence& window : windows) sums[window.owner].add(window);
  for (size_t d = 0; d < documents.size(); ++d) {
    scores[d].id = documents[d].id;
    scores[d].text_hash = sha256(documents[d].text);
    scores[d].num_bytes = static_cast<int64_t>(documents[d].text.size());
  }
  return scores;
}

}  // namespace polygraft::eval
