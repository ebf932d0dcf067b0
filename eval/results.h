// eval/results.h: result folders in lm-evaluation-harness's format: results_<time>.json and samples_<task>_<time>.jsonl.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/json.h"
#include "eval/scoring.h"

namespace polygraft::eval {

/// What one evaluation measured: per language the scores of its documents.
struct BpbResult {
  std::string model_path;
  std::string model_hash;
  OrderedJson config = OrderedJson::object();  ///< resolved options, carried along
  std::map<std::string, std::vector<DocumentScore>> languages;
};

/// Writes results_<time>.json and samples_bpb_<lang>_<time>.jsonl into `folder` (must not exist yet or be empty).
void write_bpb_result(const BpbResult& result, const std::filesystem::path& folder);

/// One sample of any task, ours or lm-evaluation-harness's.
struct Sample {
  std::string doc_id, filter, doc_hash, prompt_hash, target_hash;
  std::map<std::string, double> metrics;  ///< bits_per_byte needs `nats` and `num_bytes`; acc is 0/1
};
struct ResultFolder {
  std::filesystem::path path;
  OrderedJson results;  ///< the newest results_*.json
  std::map<std::string, std::vector<Sample>> tasks;
};
/// @throws FormatError naming file and line for truncated or broken samples; NotComparable when there is no result file.
ResultFolder read_result_folder(const std::filesystem::path& folder);

}  // namespace polygraft::eval
