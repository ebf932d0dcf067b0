// eval/pairing.h: the same task in two result folders, matched document by document.
#pragma once
#include <string>
#include <vector>

#include "eval/results.h"
#include "eval/statistics.h"

namespace polygraft::eval {

/// One (task, filter) of both sides, or why it cannot be compared.
struct PairedTask {
  std::string task;
  std::string metric;  ///< "bits_per_byte", "acc"; with ",filter" when the filter is not "none"
  std::vector<std::string> metrics;  ///< that it could be compared by
  bool higher_is_better = false;
  std::vector<Pair> pairs;                       ///< bits and bytes, or accuracy and 1
  std::string mismatch;                          ///< empty when comparable
  const std::vector<Sample>* samples = nullptr;  ///< the baseline's, in the order of the pairs
};

/// Every task of either side, sorted by name; `baseline` must outlive it.
/// @param preferred metrics, taken before others where a task has them.
std::vector<PairedTask> pair_results(const ResultFolder& baseline, const ResultFolder& candidate,
                                     const std::vector<std::string>& preferred);

/// The language a task measures: one of `known` that ends the name, else a language code that ends
/// it ("belebele_ind_Latn", "xcopa_id"), else "". `bpb_<lang>` is always <lang>.
std::string task_language(const std::string& task, const std::vector<std::string>& known);

}  // namespace polygraft::eval
