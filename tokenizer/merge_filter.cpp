// tokenizer/merge_filter.cpp: see merge_filter.h.
#include "tokenizer/merge_filter.h"

#include "core/text.h"
#include "tokenizer/script_boundary.h"

namespace polygraft::tokenizer {
namespace {

constexpr size_t kMostRejectedListed = 1000;

}  // namespace

MergeFilter::MergeFilter(const Tokenizer& old, const TextsByLanguage& guard_texts,
                         const MergeLearner& learner, int64_t min_count,
                         const ExtendOptions& options)
    : cross_script_(options.cross_script), guard_(old, guard_texts, learner, min_count) {
  if (options.guard_max_changed > 0) {
    budget_.emplace(old, guard_texts, guard_.pairs(), options.guard_max_changed);
  }
}

bool MergeFilter::accepts(const MergeLearner::Candidate& pair, const VocabularyGrowth& growth,
                          ExtendReport& report) {
  if (!cross_script_ && crosses_script(growth.bytes(pair.left) + growth.bytes(pair.right))) {
    ++report.script_rejected;
    return false;
  }
  if (!guard_.forbids(pair.left, pair.right)) return true;
  if (budget_ && budget_->admit(pair.left, pair.right)) {
    ++report.guard_admitted;
    return true;
  }
  ++report.guard_rejected_total;
  if (report.guard_rejected.size() < kMostRejectedListed) {
    const std::string spelled = concat(growth.text(pair.left), " ", growth.text(pair.right));
    report.guard_rejected.push_back({pair.left, pair.right, spelled, pair.count, {}, {}, {}});
  }
  return false;
}

}  // namespace polygraft::tokenizer
