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

/// A document's tokens, and how many of them are its context's.
struct EncodedDocument {
  std::vector<tokenizer::TokenId> tokens;
  size_t num_context = 0;
};

EncodedDocument encoded(const tokenizer::Document& document,
                        const tokenizer::Tokenizer& tokenizer) {
  if (document.context.empty()) return {tokenizer.encode(document.text)};
  EncodedDocument read{tokenizer.encode(document.context)};
  read.num_context = read.tokens.size();
  const std::vector<tokenizer::TokenId> text = tokenizer.encode(document.text);
  read.tokens.insert(read.tokens.end(), text.begin(), text.end());
  return read;
}

/// Leaves out the first `count` targets.
void forget_targets(std::vector<TokenWindow>& windows, size_t count) {
  for (TokenWindow& window : windows) {
    for (int64_t& target : window.targets) {
      if (count == 0) return;
      if (target < 0) continue;
      target = -1;
      --count;
    }
  }
}

/// Windows of every document, in document order; fills the scores' counts.
std::vector<ScoredSequence> cut_documents(const std::vector<tokenizer::Document>& documents,
                                          const tokenizer::Tokenizer& tokenizer, int64_t max_tokens,
                                          std::vector<DocumentScore>& scores) {
  std::vector<EncodedDocument> read(documents.size());
  parallel_for(documents.size(), /*num_threads=*/0,
               [&](size_t d) { read[d] = encoded(documents[d], tokenizer); });
  std::vector<ScoredSequence> windows;
  for (size_t d = 0; d < documents.size(); ++d) {
    const auto& [tokens, num_context] = read[d];
    scores[d].num_tokens = static_cast<int64_t>(tokens.size() - num_context);
    auto cut = rolling_windows(tokens, tokenizer.prefix_id(), max_tokens);
    forget_targets(cut, num_context);
    for (TokenWindow& window : cut) windows.push_back({d, std::move(window)});
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
      const double masked = window.head_masked_L[i];
      if (masked == 0) continue;  // an added token: that it is likely is no leak
      score_.head_masked_nats += masked;
      score_.leaked_mass -= std::expm1(masked - window.nats_L[i]);
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
    scores[d].text_hash = sha256(documents[d].context + documents[d].text);
    scores[d].num_bytes = static_cast<int64_t>(documents[d].text.size());
  }
  return scores;
}

}  // namespace polygraft::eval
