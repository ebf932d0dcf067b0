// tokenizer/merge_filter.h: which learned merges an extension takes: not across scripts, not where
// guarded text would change, unless there is a budget for it.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/bpe_trainer.h"
#include "tokenizer/extend_guard.h"
#include "tokenizer/guard_budget.h"
#include "tokenizer/vocabulary_growth.h"

namespace polygraft::tokenizer {

class MergeFilter {
 public:
  /// Reads the guard texts. @param learner of the new text, not yet asked for merges.
  MergeFilter(const Tokenizer& old, const TextsByLanguage& guard_texts, const MergeLearner& learner,
              int64_t min_count, const ExtendOptions& options);

  /// Counts and lists what it turns down in `report`.
  bool accepts(const MergeLearner::Candidate& pair, const VocabularyGrowth& growth,
               ExtendReport& report);

  /// Guard documents of a language that the accepted merges change.
  int64_t num_changed(const std::string& language) const {
    return budget_ ? budget_->num_changed(language) : 0;
  }

 private:
  bool cross_script_;
  ExtendGuard guard_;
  std::optional<GuardBudget> budget_;
};

}  // namespace polygraft::tokenizer
