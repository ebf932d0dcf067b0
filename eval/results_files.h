// eval/results_files.h: the files of a result folder, and which of them belong together:
// results_<time>.json names the tasks of one evaluation, samples_<task>_<time>.jsonl are theirs.
#pragma once
#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace polygraft::eval {

/// "results_*.json"
bool is_results_file(const std::filesystem::path& file);

/// The results files that count, the newest first: the file itself, those of the folder, or those
/// of the one folder below it (lm-eval makes one per model).
/// @throws IoError when nothing has this name; NotComparable when there are no results, or more
/// than one model's.
std::vector<std::filesystem::path> results_files(const std::filesystem::path& folder_or_file);

/// Where a results file's task has its samples.
std::filesystem::path samples_file(const std::filesystem::path& results_file,
                                   const std::string& task);

/// Results and samples in a folder and right below it that are not among `named`, but for the
/// folder's own results files.
std::vector<std::filesystem::path> unread_files(const std::filesystem::path& folder,
                                                const std::set<std::filesystem::path>& named);

/// Every results and samples file in a folder and right below it, or beside a results file: what
/// reading it may read. A file of write_baseline() is that file; none where there is nothing.
std::vector<std::filesystem::path> result_files(const std::filesystem::path& folder_or_file);

}  // namespace polygraft::eval
