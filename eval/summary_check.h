// eval/summary_check.h: what a results file states of a task must be what its samples say. The gate
// takes its numbers from the samples alone; a summary that contradicts them was edited, or belongs
// to other samples. Private to eval.
#pragma once
#include <filesystem>

#include "core/json_fwd.h"
#include "eval/results.h"

namespace polygraft::eval {

/// Compares what follows from the samples of one task and filter: bits per byte and byte
/// perplexity, means of metrics that lm-eval averages, and our totals by language.
/// @throws NotComparable naming file and key.
void check_summary(const OrderedJson& results, const TaskKey& key, const TaskSamples& samples,
                   const std::filesystem::path& results_file);

}  // namespace polygraft::eval
