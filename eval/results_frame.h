// eval/results_frame.h: what every result folder of ours has in common: lm-evaluation-harness's
// document around the tasks, and the names of the files. Private to eval.
#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "core/file.h"
#include "core/json_fwd.h"

namespace polygraft::eval {

constexpr double kTaskVersion = 1.0;  ///< raised when a sample's score changes its meaning

/// The document without tasks, its keys in lm-eval's order. @param path of the model; of one that
/// is no UTF-8, what JSON can hold
OrderedJson results_frame(const std::string& path, const std::string& model_hash,
                          const OrderedJson& config);

/// Adds what lm-eval states of every task. @param metrics its entry below "results".
void add_task(OrderedJson& document, const std::string& task, size_t num_samples,
              const OrderedJson& metrics, const OrderedJson& higher_is_better);

/// Writes results_<time>.json and, for each task, samples_<task>_<time>.jsonl through its writer.
/// `folder` (in an AtomicFolder, so that it appears whole) must not exist yet or be empty.
void write_result_folder(
    const std::filesystem::path& folder, const OrderedJson& document,
    const std::map<std::string, std::function<void(AtomicFile&)>>& sample_writers);

}  // namespace polygraft::eval
