// eval/results_files.cpp: see results_files.h.
#include "eval/results_files.h"

#include <algorithm>
#include <functional>

#include "core/error.h"
#include "core/text.h"

namespace polygraft::eval {
namespace {

constexpr std::string_view kResults = "results_";
constexpr std::string_view kSamples = "samples_";

bool is_samples_file(const fs::path& file) {
  return file.filename().string().starts_with(kSamples) && file.extension() == ".jsonl";
}

/// Sorted, each once: a link such as `latest` is another name of what stands beside it.
std::vector<fs::path> once_each(std::vector<fs::path> paths) {
  const auto is_link = [](const fs::path& path) { return fs::is_symlink(path); };
  std::sort(paths.begin(), paths.end());
  const auto links = std::stable_partition(paths.begin(), paths.end(), std::not_fn(is_link));
  if (links == paths.end()) return paths;
  std::set<fs::path> seen;
  std::erase_if(paths,
                [&](const fs::path& path) { return !seen.insert(fs::canonical(path)).second; });
  std::sort(paths.begin(), paths.end());
  return paths;
}

/// Those of the folder itself.
std::vector<fs::path> files_in(const fs::path& folder, bool (*is_wanted)(const fs::path&)) {
  std::vector<fs::path> files;
  std::error_code unreadable;
  for (const auto& entry : fs::directory_iterator(folder, unreadable)) {
    if (entry.is_regular_file() && is_wanted(entry.path())) files.push_back(entry.path());
  }
  return once_each(std::move(files));
}

std::vector<fs::path> folders_in(const fs::path& folder) {
  std::vector<fs::path> folders;
  std::error_code unreadable;
  for (const auto& entry : fs::directory_iterator(folder, unreadable)) {
    if (entry.is_directory()) folders.push_back(entry.path());
  }
  return once_each(std::move(folders));
}

/// The folder that holds results files: `folder`, or the one below it.
fs::path folder_with_results(const fs::path& folder) {
  if (!files_in(folder, is_results_file).empty()) return folder;
  std::vector<std::string> below;
  for (const fs::path& inner : folders_in(folder)) {
    if (!files_in(inner, is_results_file).empty()) below.push_back(inner.string());
  }
  if (below.size() == 1) return below.front();
  if (below.empty()) {
    throw NotComparable(folder.string(), "no results_*.json in this folder or one below it")
        .hint(
            "make one with `polygraft eval bpb ... -o DIR` or `lm_eval --log_samples --output_path "
            "DIR`");
  }
  throw NotComparable(folder.string(), "results of more than one model lie below this folder")
      .found(join(below, ", "))
      .hint("name one of them");
}

/// "2026-11-22T18-03-04.123456" of "results_2026-11-22T18-03-04.123456.json".
std::string time_of(const fs::path& results_file) {
  const std::string stem = results_file.filename().stem().string();
  return stem.substr(std::min(stem.size(), kResults.size()));
}

}  // namespace

bool is_results_file(const fs::path& file) {
  return file.filename().string().starts_with(kResults) && file.extension() == ".json";
}

std::vector<fs::path> results_files(const fs::path& folder_or_file) {
  if (fs::is_regular_file(folder_or_file)) return {folder_or_file};
  if (!fs::exists(folder_or_file)) throw IoError(folder_or_file, "no such result folder or file");
  if (!fs::is_directory(folder_or_file))
    throw NotComparable(folder_or_file.string(), "is neither a folder nor a file of results");
  std::vector<fs::path> files = files_in(folder_with_results(folder_or_file), is_results_file);
  std::reverse(files.begin(), files.end());  // the time in the name sorts as text
  return files;
}

fs::path samples_file(const fs::path& results_file, const std::string& task) {
  return results_file.parent_path() / concat(kSamples, task, "_", time_of(results_file), ".jsonl");
}

std::vector<fs::path> result_files(const fs::path& folder_or_file) {
  const bool is_file = fs::is_regular_file(folder_or_file);
  if (is_file && !is_results_file(folder_or_file)) return {folder_or_file};
  const fs::path folder = is_file ? fs::absolute(folder_or_file).parent_path() : folder_or_file;
  std::vector<fs::path> folders = {folder};
  if (!is_file) {
    for (const fs::path& below : folders_in(folder)) folders.push_back(below);
  }
  std::vector<fs::path> files;
  for (const fs::path& one : folders) {
    for (const auto is_wanted : {is_results_file, is_samples_file}) {
      for (fs::path& file : files_in(one, is_wanted)) files.push_back(std::move(file));
    }
  }
  return files;
}

std::vector<fs::path> unread_files(const fs::path& folder, const std::set<fs::path>& named) {
  std::vector<fs::path> files = result_files(folder);
  std::erase_if(files, [&](const fs::path& file) {
    return named.contains(file) || (file.parent_path() == folder && is_results_file(file));
  });
  return files;
}

}  // namespace polygraft::eval
