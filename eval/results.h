// eval/results.h: result folders in lm-evaluation-harness's format: results_<time>.json and
// samples_<task>_<time>.jsonl. Reference: lm-eval 0.4.13, loggers/evaluation_tracker.py (files),
// evaluator.py (samples), result_schema.py (keys).
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

/// Writes results_<time>.json and samples_bpb_<lang>_<time>.jsonl into `folder` (must not exist yet
/// or be empty), which appears whole or not at all. Texts are not copied: a sample carries the
/// SHA-256 of its text as all three hashes, which for prompt_hash and target_hash is what lm-eval
/// computes from the text.
/// @throws ConfigError for a language that cannot be part of a file name or has no document, or a
/// folder in use; NumericError for a score that is not finite.
void write_bpb_result(const BpbResult& result, const std::filesystem::path& folder);

/// One sample of any task, ours or lm-evaluation-harness's.
struct Sample {
  std::string doc_id, filter, doc_hash, prompt_hash, target_hash;
  std::map<std::string, double>
      metrics;  ///< bits_per_byte needs `nats` and `num_bytes`; acc is 0/1
};
struct ResultFolder {
  std::filesystem::path path;
  OrderedJson results;  ///< the newest results_*.json
  std::map<std::string, std::vector<Sample>> tasks;
};

/// Reads the newest results_*.json and the samples written with it. `folder` may also be the folder
/// above it (lm-eval makes one per model) or the results file itself.
/// @throws FormatError naming file and line for truncated or broken samples, a number that is not
/// finite, or a document listed twice; NotComparable when there is no result file, more than one
/// model's, or a task without samples.
ResultFolder read_result_folder(const std::filesystem::path& folder);

}  // namespace polygraft::eval
