// eval/results_reader.cpp: which files of a result folder count, and what they must hold together.
#include <algorithm>
#include <charconv>

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "eval/baseline_file.h"
#include "eval/results.h"
#include "eval/sample_lines.h"

namespace polygraft::eval {
namespace {

bool is_results_file(const fs::path& file) {
  return file.filename().string().starts_with("results_") && file.extension() == ".json";
}

std::vector<fs::path> results_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file() && is_results_file(entry.path())) files.push_back(entry.path());
  }
  return files;
}

/// The folder that holds results files: `folder`, or the one below it (lm-eval makes one per
/// model).
fs::path folder_with_results(const fs::path& folder) {
  if (!results_files(folder).empty()) return folder;
  std::vector<std::string> below;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_directory() && !results_files(entry.path()).empty())
      below.push_back(entry.path().string());
  }
  if (below.size() == 1) return below.front();
  if (below.empty()) {
    throw NotComparable(folder.string(), "no results_*.json in this folder or one below it")
        .hint(
            "make one with `polygraft eval bpb ... -o DIR` or `lm_eval --log_samples --output_path "
            "DIR`");
  }
  std::sort(below.begin(), below.end());
  throw NotComparable(folder.string(), "results of more than one model lie below this folder")
      .found(join(below, ", "))
      .hint("name one of them");
}

fs::path newest_results_file(const fs::path& folder_or_file) {
  if (fs::is_regular_file(folder_or_file)) return folder_or_file;
  if (!fs::is_directory(folder_or_file)) {
    throw NotComparable(folder_or_file.string(), "there is no such result folder");
  }
  const std::vector<fs::path> files = results_files(folder_with_results(folder_or_file));
  return *std::max_element(files.begin(), files.end());  // the time in the name sorts as text
}

/// "2026-11-22T18-03-04.123456" of "results_2026-11-22T18-03-04.123456.json".
std::string time_of(const fs::path& results_file) {
  const std::string stem = results_file.filename().stem().string();
  return stem.substr(std::min(stem.size(), std::string("results_").size()));
}

/// A file cut at the end of a line parses; only the count that the results file states tells.
void check_count(const OrderedJson& results, const std::string& task, const TaskSamples& samples,
                 const fs::path& file) {
  const auto counts = results.find("n-samples");
  if (counts == results.end() || !counts->contains(task)) return;
  const auto expected = json_get_or<int64_t>((*counts)[task], "effective", 0, file);
  const auto found = static_cast<int64_t>(samples.samples.size());
  if (found >= expected) return;
  uint32_t last_line = 0;
  for (const Sample& sample : samples.samples) last_line = std::max(last_line, sample.line);
  throw NotComparable(concat(file.string(), ":", last_line + 1), "the samples end too early")
      .expected(concat(expected, " documents, as the results file says"))
      .found(concat(found))
      .hint("the file may have been cut; copy it again or evaluate again");
}

std::map<std::string, TaskSamples> read_task(const OrderedJson& results, const std::string& task,
                                             const fs::path& results_file,
                                             const std::string& document_field) {
  if (task.find('/') != std::string::npos) {
    throw NotComparable(results_file.string(), "a task's name leads out of the folder").found(task);
  }
  const fs::path file =
      results_file.parent_path() / concat("samples_", task, "_", time_of(results_file), ".jsonl");
  if (!fs::exists(file)) {
    throw NotComparable(file.string(), concat("task '", task, "' has no samples"))
        .hint("a paired comparison needs them: run lm_eval with --log_samples");
  }
  auto filters = read_sample_lines(file, document_field);
  if (filters.empty()) filters["none"];
  for (const auto& [filter, samples] : filters) check_count(results, task, samples, file);
  return filters;
}

/// Groups appear among the results too, with no samples of their own.
bool is_group(const OrderedJson& results, const std::string& task) {
  const auto groups = results.find("group_subtasks");
  if (groups == results.end() || !groups->is_object()) return false;
  const auto group = groups->find(task);
  return group != groups->end() && !group->empty();
}

OrderedJson read_results(const fs::path& file) {
  OrderedJson results = read_ordered_json(file);
  const auto tasks = results.find("results");
  if (!results.is_object() || tasks == results.end() || !tasks->is_object()) {
    throw NotComparable(file.string(), "key 'results' with one entry per task is missing");
  }
  return results;
}

/// What `eval bpb --causes` left in the results.
std::map<std::string, Causes> stated_causes(const OrderedJson& results, const fs::path& file) {
  std::map<std::string, Causes> out;
  const OrderedJson::json_pointer where("/polygraft/languages");
  if (!results.contains(where)) return out;
  for (const auto& [language, totals] : results[where].items()) {
    const auto causes = totals.find("causes");
    if (causes != totals.end()) out[language] = Causes::from_json(*causes, file.string());
  }
  return out;
}

ResultFolder read_tasks(const fs::path& file, const std::string& document_field) {
  ResultFolder out;
  out.path = file.parent_path();
  out.results = read_results(file);
  out.causes = stated_causes(out.results, file);
  for (const auto& [task, unused] : out.results["results"].items()) {
    if (is_group(out.results, task)) continue;
    auto filters = read_task(out.results, task, file, document_field);
    for (auto& [filter, samples] : filters) out.tasks[{task, filter}] = std::move(samples);
  }
  return out;
}

bool is_whole_number(std::string_view text) {
  return !text.empty() && text.size() < 19 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

bool doc_id_less(std::string_view a, std::string_view b) {
  const bool number_a = is_whole_number(a), number_b = is_whole_number(b);
  if (number_a != number_b) return number_a;
  if (number_a && a.size() != b.size()) return a.size() < b.size();
  return a < b;
}

uint64_t name_fingerprint(std::string_view name) {
  if (name.empty()) return 0;
  uint64_t value = 14695981039346656037U;  // FNV-1a, 64 bits
  for (const char c : name) value = (value ^ static_cast<uint8_t>(c)) * 1099511628211U;
  return value == 0 ? 1 : value;
}

uint64_t fingerprint(std::string_view hash) {
  constexpr size_t kDigits = 16, kSha256Digits = 64;
  if (hash.size() != kDigits && hash.size() != kSha256Digits) return name_fingerprint(hash);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(hash.data(), hash.data() + kDigits, value, 16);
  const bool is_hash = error == std::errc() && end == hash.data() + kDigits;
  return is_hash ? value : name_fingerprint(hash);
}

int64_t TaskSamples::metric_index(const std::string& metric) const {
  const auto found = std::find(metrics.begin(), metrics.end(), metric);
  return found == metrics.end() ? -1 : found - metrics.begin();
}

ResultFolder read_result_folder(const fs::path& folder, const std::string& document_field) {
  const bool is_baseline = fs::is_regular_file(folder) && !is_results_file(folder);
  const fs::path file = newest_results_file(folder);
  try {
    return is_baseline ? read_baseline(file) : read_tasks(file, document_field);
  } catch (const FormatError& error) {
    throw NotComparable(file.string(), "the results file is broken")
        .found(error.what())
        .hint("the file may have been cut; copy it again or evaluate again");
  }
}

void add_results(const ResultFolder& other, ResultFolder& to) {
  to.results.merge_patch(other.results);
  to.tasks.insert(other.tasks.begin(), other.tasks.end());
}

}  // namespace polygraft::eval
