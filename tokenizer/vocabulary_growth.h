// tokenizer/vocabulary_growth.h: the tokens that learning adds to a tokenizer.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "tokenizer/merge_learner.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_writer.h"

namespace polygraft::tokenizer {

class VocabularyGrowth {
 public:
  struct Step {
    TokenId left, right, merged;
  };

  explicit VocabularyGrowth(const Tokenizer& base)
      : base_(base), first_new_(static_cast<TokenId>(base.size())) {}

  const std::string& text(TokenId id) const {
    return id < first_new_ ? base_.token(id) : additions_.tokens[id - first_new_].first;
  }
  std::string bytes(TokenId id) const {
    return id < first_new_ ? base_.token_bytes(id) : bytes_[id - first_new_];
  }
  bool is_old(const std::string& text) const { return base_.find(text).has_value(); }
  std::optional<TokenId> find_new(const std::string& text) const {
    const auto found = fresh_.find(text);
    return found == fresh_.end() ? std::nullopt : std::optional(found->second);
  }
  /// The merge of two tokens becomes the next id. @return the new id.
  TokenId add(TokenId left, TokenId right);

  const VocabularyAdditions& additions() const { return additions_; }
  const std::vector<Step>& steps() const { return steps_; }

 private:
  const Tokenizer& base_;
  TokenId first_new_;
  VocabularyAdditions additions_;
  std::vector<Step> steps_;
  std::vector<std::string> bytes_;  ///< of the new tokens
  std::unordered_map<std::string, TokenId> fresh_;
};

struct LearnLimits {
  static constexpr int64_t kNoLimit = INT64_MAX;
  int64_t most_merges;
  int64_t min_count;  ///< a pair seen less often ends the learning
  /// Whether any two neighbours that spell a new token become it (SentencePiece), or only the two
  /// that it was learned from (tokenizer.json).
  bool spelling_joins = false;
};

/// Merges the most frequent pair again and again, except pairs whose text is a token already and
/// pairs that `accept` turns down.
void learn_merges(MergeLearner& learner, VocabularyGrowth& growth, const LearnLimits& limits,
                  const std::function<bool(const MergeLearner::Candidate&)>& accept);

}  // namespace polygraft::tokenizer
