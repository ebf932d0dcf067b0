// eval/results_reader.cpp: what the files of a result folder must hold together. Of several
// evaluations in one folder, as lm-eval leaves them, each task counts where it was measured last.
#include <algorithm>
#include <charconv>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "eval/baseline_file.h"
#include "eval/results.h"
#include "eval/results_files.h"
#include "eval/sample_lines.h"
#include "eval/sources.h"
#include "eval/summary_check.h"

namespace polygraft::eval {
namespace {

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
  const fs::path file = samples_file(results_file, task);
  if (!fs::exists(file)) {
    throw NotComparable(file.string(), concat("task '", task, "' has no samples"))
        .hint("a paired comparison needs them: run lm_eval with --log_samples");
  }
  auto filters = read_sample_lines(file, document_field);
  if (filters.empty()) filters["none"];
  for (const auto& [filter, samples] : filters) {
    check_count(results, task, samples, file);
    check_summary(results, {task, filter}, samples, results_file);
  }
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

/// What results state of each task by its name.
constexpr const char* kTaskKeys[] = {"results", "group_subtasks",   "configs",   "versions",
                                     "n-shot",  "higher_is_better", "n-samples", "task_hashes"};

/// from[key][name], where there is one.
void take_entry(const OrderedJson& from, const std::string& key, const std::string& name,
                OrderedJson& to) {
  const auto entries = from.find(key);
  if (entries == from.end() || !entries->is_object() || !entries->contains(name)) return;
  to[key][name] = entries->at(name);
}

/// What `from` states of the task, and of the language whose bits per byte it measures.
void take_task(const OrderedJson& from, const std::string& task, OrderedJson& to) {
  for (const char* key : kTaskKeys) take_entry(from, key, task, to);
  if (!from.contains("polygraft") || !task.starts_with(kBpbTaskPrefix)) return;
  const std::string language = task.substr(kBpbTaskPrefix.size());
  take_entry(from["polygraft"], "languages", language, to["polygraft"]);
}

/// An evaluation's results without its tasks: those that count are taken one by one.
OrderedJson without_tasks(OrderedJson results) {
  for (const char* key : kTaskKeys)
    if (results.contains(key)) results[key] = OrderedJson::object();
  const OrderedJson::json_pointer languages("/polygraft/languages");
  if (results.contains(languages)) results[languages] = OrderedJson::object();
  return results;
}

void refuse_other_model(const fs::path& file, const OrderedJson& results, const fs::path& newest,
                        const OrderedJson& newer) {
  const std::string difference = model_difference(newer, results);
  if (difference.empty()) return;
  throw NotComparable(file.string(),
                      concat("is of another model than ", newest.filename().string(), " beside it"))
      .found(difference)
      .hint("move one of them and its samples to a folder of its own, or name the file to be read");
}

/// The tasks of a results file that no newer one measured.
std::vector<std::string> tasks_to_read(const OrderedJson& results, const OrderedJson& newer) {
  std::vector<std::string> tasks;
  for (const auto& [task, unused] : results.at("results").items())
    if (!is_group(results, task) && !newer.at("results").contains(task)) tasks.push_back(task);
  return tasks;
}

/// @param files the newest first; each task counts where it was measured last.
ResultFolder read_tasks(const std::vector<fs::path>& files, const std::string& document_field) {
  ResultFolder out;
  out.path = files.front().parent_path();
  std::set<fs::path> named;
  for (const fs::path& file : files) {
    const OrderedJson results = read_results(file);
    for (const auto& [task, unused] : results["results"].items())
      named.insert(samples_file(file, task));
    if (out.files.empty()) out.results = without_tasks(results);
    const std::vector<std::string> tasks = tasks_to_read(results, out.results);
    if (tasks.empty() && !out.files.empty()) continue;
    refuse_other_model(file, results, files.front(), out.results);
    for (const std::string& task : tasks) {
      take_task(results, task, out.results);
      auto filters = read_task(results, task, file, document_field);
      for (auto& [filter, samples] : filters) out.tasks[{task, filter}] = std::move(samples);
    }
    out.files.push_back({file, tasks.size()});
  }
  out.causes = stated_causes(out.results, files.front());
  out.unread = unread_files(out.path, named);
  return out;
}

/// Beside bits per byte, those of the stage's tasks.
void take_choices(ResultFolder& stage, const std::string& document_field) {
  const fs::path folder = stage.path / kChoiceFolder;
  if (!fs::exists(folder)) return;
  const ResultFolder choices = read_tasks(results_files(folder), document_field);
  refuse_other_model(choices.files.front().path, choices.results, stage.files.front().path,
                     stage.results);
  stage.results.merge_patch(choices.results);
  stage.tasks.insert(choices.tasks.begin(), choices.tasks.end());
  stage.files.insert(stage.files.end(), choices.files.begin(), choices.files.end());
}

/// All of a folder, which may be a stage of a run.
ResultFolder read_folder(const std::vector<fs::path>& files, const std::string& document_field) {
  ResultFolder out = read_tasks(files, document_field);
  if (!out.results.contains("polygraft")) return out;
  take_choices(out, document_field);
  std::erase_if(out.unread, [&](const fs::path& file) {
    const fs::path folder = file.parent_path();
    return folder == out.path / kChoiceFolder || folder == out.path / kBehindFolder;
  });
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
  const std::vector<fs::path> files = results_files(folder);
  try {
    if (is_baseline) return read_baseline(folder);
    if (fs::is_directory(folder)) return read_folder(files, document_field);
    ResultFolder one = read_tasks(files, document_field);
    one.unread.clear();  // the others were not asked for
    return one;
  } catch (const FormatError& error) {
    throw NotComparable(files.front().string(), "the results file is broken")
        .found(error.what())
        .hint("the file may have been cut; copy it again or evaluate again");
  }
}

}  // namespace polygraft::eval
