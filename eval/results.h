// eval/results.h: result folders in lm-evaluation-harness's format: results_<time>.json and
// samples_<task>_<time>.jsonl. Reference: lm-eval 0.4.13, loggers/evaluation_tracker.py (files),
// evaluator.py (samples), result_schema.py (keys).
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.h"
#include "core/json.h"
#include "eval/causes.h"
#include "eval/scoring.h"

namespace polygraft::eval {

/// What one evaluation measured: per language the scores of its documents.
struct BpbResult {
  std::string model_path;
  std::string model_hash;
  OrderedJson config = OrderedJson::object();  ///< resolved options, carried along
  std::map<std::string, std::vector<DocumentScore>> languages;
  std::map<std::string, std::string> roles;  ///< the corpus list's "old" or "new", by language
  std::map<std::string, Causes> causes;      ///< of languages whose change was split by cause
};

inline constexpr const char* kBitsPerByte = "bits_per_byte";
inline constexpr std::string_view kBpbTaskPrefix = "bpb_";
/// The task that measures bits per byte of a language's held-out text.
std::string bpb_task(const std::string& language);

/// Writes results_<time>.json and samples_bpb_<lang>_<time>.jsonl into `folder`: an AtomicFolder's
/// path, or a new folder. Texts are not copied: a sample carries the SHA-256 of its text as all
/// three hashes, which for prompt_hash and target_hash is what lm-eval computes from the text.
/// @throws ConfigError for a language that cannot be part of a file name or has no document, or a
/// folder in use; NumericError for a score that is not finite.
void write_bpb_result(const BpbResult& result, const std::filesystem::path& folder);

/// Notes a language or task that cannot be part of a file name, or of JSON.
void check_name(const std::string& key, const std::string& name, Problems& problems);

/// One sample of any task, ours or lm-evaluation-harness's. Hashes are kept as fingerprint()s.
struct Sample {
  std::string doc_id;
  uint64_t doc_hash = 0, prompt_hash = 0, target_hash = 0;
  uint64_t document = 0;  ///< samples of one task with the same number share a document
  uint32_t line = 0;      ///< of the samples file, from 1
  std::vector<double>
      values;  ///< as TaskSamples::metrics; NaN where this sample has no such metric
};

/// The samples of one task under one filter, ascending by doc_id_less().
struct TaskSamples {
  std::vector<std::string> metrics;  ///< bits per byte needs `nats` and `num_bytes`; acc is 0/1
  std::vector<Sample> samples;

  /// Index into `values`, or -1.
  int64_t metric_index(const std::string& metric) const;
};

struct TaskKey {
  std::string task, filter;  ///< lm-eval's name of no filter is "none"
  auto operator<=>(const TaskKey&) const = default;
};

/// A results file that counts, and how many of its tasks do.
struct ResultsFile {
  std::filesystem::path path;
  size_t num_tasks = 0;
};

struct ResultFolder {
  std::filesystem::path path;
  OrderedJson results;  ///< the newest results_*.json; of tasks that only older ones have, theirs
  std::vector<ResultsFile> files;             ///< the newest first; none of a baseline file
  std::vector<std::filesystem::path> unread;  ///< results and samples in the folder or below it
                                              ///< that none of them names
  std::map<TaskKey, TaskSamples> tasks;
  std::map<std::string, Causes> causes;  ///< by language, where they were measured
};

/// The first 64 bits of a SHA-256 written in hexadecimal, all of it as lm-eval's hashes are or
/// those 16 digits; of any other text its name_fingerprint().
uint64_t fingerprint(std::string_view hash);
/// FNV-1a of a text that is no hash, though it may look like one; 0 for none alone.
uint64_t name_fingerprint(std::string_view name);

/// Whole numbers by size, and before all other names.
bool doc_id_less(std::string_view a, std::string_view b);

/// Within what an evaluation stage of `polygraft run` leaves: its multiple-choice tasks, where it
/// measures bits per byte as well, and bits per byte of old text behind a passage of the new
/// language.
inline constexpr const char* kChoiceFolder = "choice";
inline constexpr const char* kBehindFolder = "behind";

/// Reads every results_*.json and the samples written with it; a task that several have counts as
/// the newest has it. `folder` may also be the folder above it (lm-eval makes one per model), one
/// results file alone, or a file of write_baseline().
/// Samples whose `doc` has the same `document_field` share a document; where there is none, those
/// with the same doc_hash.
/// @throws NotComparable naming file and line for truncated or broken samples, a number that is not
/// finite, a document listed twice, or a summary that the samples contradict; and when there is no
/// result file, more than one model's, or a task without samples. IoError for a file that cannot be
/// read.
/// In a stage of `polygraft run` choices count too, and what is of text behind a passage does not.
ResultFolder read_result_folder(const std::filesystem::path& folder,
                                const std::string& document_field = "document");

}  // namespace polygraft::eval
