// tokenizer/merge_filter.cpp: see merge_filter.h.
#include "tokenizer/merge_filter.h"

#include "core/text.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/script_boundary.h"

namespace polygraft::tokenizer {
namespace {

constexpr size_t kMostRejectedListed = 1000;

}  // namespace

MergeFilter::MergeFilter(const Tokenizer& old,
                         const std::map<std::string, std::vector<fs::path>>& guard_texts,
                         const ExtendOptions& options)
    : cross_script_(options.cross_script), guard_(old, guard_texts) {
  if (options.guard_max_changed > 0) budget_.emplace(old, guard_texts, options.guard_max_changed);
}

bool MergeFilter::accepts(const MergeLearner::Candidate& pair, const std::string& text,
                          const VocabularyGrowth& growth, ExtendReport& report) {
  const std::string bytes = from_alphabet(text).value_or(text);
  if (!cross_script_ && crosses_script(bytes)) {
    ++report.script_rejected;
    return false;
  }
  if (!guard_.forbids(pair.left, pair.right, bytes)) return true;
  if (budget_ && budget_->admit(pair.left, pair.right, bytes)) {
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
