// tokenizer/vocabulary_growth.cpp: see vocabulary_growth.h.
#include "tokenizer/vocabulary_growth.h"

#include "core/progress.h"
#include "core/stop.h"

namespace polygraft::tokenizer {

TokenId VocabularyGrowth::add(TokenId left, TokenId right) {
  const auto merged = static_cast<TokenId>(first_new_ + additions_.tokens.size());
  const std::string left_text = text(left), right_text = text(right);
  bytes_.push_back(bytes(left) + bytes(right));
  additions_.tokens.emplace_back(left_text + right_text, merged);
  additions_.merges.emplace_back(left_text, right_text);
  steps_.push_back({left, right, merged});
  fresh_.emplace(left_text + right_text, merged);
  return merged;
}

void learn_merges(MergeLearner& learner, VocabularyGrowth& growth, const LearnLimits& limits,
                  const std::function<bool(const MergeLearner::Candidate&)>& accept) {
  const bool open_ended = limits.most_merges == LearnLimits::kNoLimit;
  Progress progress("learning merges", open_ended ? 0 : static_cast<uint64_t>(limits.most_merges),
                    "merges");
  while (static_cast<int64_t>(growth.steps().size()) < limits.most_merges) {
    throw_if_stopped();
    const auto pair = learner.next();
    if (!pair || pair->count < limits.min_count) break;
    const std::string text = growth.text(pair->left) + growth.text(pair->right);
    if (const auto known = growth.find_new(text)) {
      if (limits.spelling_joins) learner.merge(pair->left, pair->right, *known);
      continue;
    }
    if (growth.is_old(text) || !accept(*pair)) continue;
    learner.merge(pair->left, pair->right, growth.add(pair->left, pair->right));
    progress.advance(1);
  }
  progress.finish();
}

}  // namespace polygraft::tokenizer
