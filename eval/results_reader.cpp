// eval/results_reader.cpp: result folders of any origin into samples; every broken line is named by
// file and line.
#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "eval/results.h"

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

double finite_number(const OrderedJson& value, const std::string& name, const fs::path& where) {
  if (value.is_number()) return value.get<double>();
  throw FormatError(where, concat("'", name, "' is no finite number"))
      .found(value.dump().substr(0, 80));
}

/// Rolling tasks store [log-likelihood, bytes]; the two metrics that carry bytes give the same
/// pair.
void read_rolling(const OrderedJson& value, const std::string& name, const fs::path& where,
                  Sample& sample) {
  const double nats = -finite_number(value[0], name, where);
  const double num_bytes = finite_number(value[1], name, where);
  if (num_bytes <= 0) {
    throw FormatError(where, concat("'", name, "' counts no bytes")).found(value.dump());
  }
  sample.metrics["nats"] = nats;
  sample.metrics["num_bytes"] = num_bytes;
}

void read_metric(const OrderedJson& line, const std::string& name, const fs::path& where,
                 Sample& sample) {
  const auto found = line.find(name);
  if (found == line.end())
    throw FormatError(where, concat("metric '", name, "' is listed but missing"));
  const OrderedJson& value = *found;
  if (value.is_boolean()) {
    sample.metrics[name] = value.get<bool>() ? 1 : 0;
  } else if (value.is_number() || value.is_null()) {
    sample.metrics[name] = finite_number(value, name, where);
  } else if (value.is_array() && value.size() == 2 &&
             (name == "bits_per_byte" || name == "byte_perplexity")) {
    read_rolling(value, name, where, sample);
  }  // other shapes (BLEU's references, texts) have no meaning per sample and are not compared
}

std::string doc_id_text(const OrderedJson& line, const fs::path& where) {
  const auto id = line.find("doc_id");
  if (id == line.end()) throw FormatError(where, "key 'doc_id' is missing");
  return id->is_string() ? id->get<std::string>() : id->dump();
}

/// Python writes NaN and Infinity as bare words, which JSON does not have.
bool holds_python_non_finite(std::string_view line) {
  for (const char* start : {": ", "[", ", ", ": -", "[-", ", -"}) {
    for (const char* word : {"NaN", "Infinity"}) {
      if (line.find(concat(start, word)) != std::string_view::npos) return true;
    }
  }
  return false;
}

OrderedJson parse_line(std::string_view text, const fs::path& where) {
  try {
    return parse_ordered_json(text, where);
  } catch (const FormatError&) {
    if (!holds_python_non_finite(text)) throw;
    throw FormatError(where, "a score is not finite")
        .expected("finite numbers")
        .found("NaN or Infinity")
        .hint("the evaluation that wrote it met a numeric error; run it again");
  }
}

Sample parse_sample(std::string_view text, const fs::path& where) {
  const OrderedJson line = parse_line(text, where);
  if (!line.is_object()) throw FormatError(where, "a sample must be a JSON object");
  Sample sample;
  sample.doc_id = doc_id_text(line, where);
  sample.filter = json_get_or<std::string>(line, "filter", "none", where);
  sample.doc_hash = json_get_or<std::string>(line, "doc_hash", "", where);
  sample.prompt_hash = json_get_or<std::string>(line, "prompt_hash", "", where);
  sample.target_hash = json_get_or<std::string>(line, "target_hash", "", where);
  const auto names = json_get_or<std::vector<std::string>>(line, "metrics", {}, where);
  for (const std::string& name : names) read_metric(line, name, where, sample);
  return sample;
}

std::vector<Sample> read_samples(const fs::path& file) {
  const MappedFile mapped(file);
  std::vector<Sample> samples;
  std::set<std::pair<std::string, std::string>> seen;
  std::string_view rest = mapped.text();
  for (int64_t number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const fs::path where = concat(file.string(), ":", number);
    samples.push_back(parse_sample(rest.substr(0, end), where));
    if (!seen.emplace(samples.back().filter, samples.back().doc_id).second) {
      throw FormatError(where, concat("document ", samples.back().doc_id, " is listed twice"))
          .hint(
              "two runs may have been written into one file; evaluate again into an empty folder");
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return samples;
}

/// A file cut at the end of a line parses; only the count that the results file states tells.
void check_count(const OrderedJson& results, const std::string& task,
                 const std::vector<Sample>& samples, const fs::path& file) {
  const auto counts = results.find("n-samples");
  if (counts == results.end() || !counts->contains(task)) return;
  const auto expected = json_get_or<int64_t>((*counts)[task], "effective", 0, file);
  std::set<std::string> documents;
  for (const Sample& sample : samples) documents.insert(sample.doc_id);
  if (static_cast<int64_t>(documents.size()) >= expected) return;
  throw FormatError(concat(file.string(), ":", samples.size() + 1), "the samples end too early")
      .expected(concat(expected, " documents, as the results file says"))
      .found(concat(documents.size()))
      .hint("the file may have been cut; copy it again or evaluate again");
}

std::vector<Sample> read_task(const OrderedJson& results, const std::string& task,
                              const fs::path& results_file) {
  if (task.find('/') != std::string::npos) {
    throw FormatError(results_file, "a task's name leads out of the folder").found(task);
  }
  const fs::path file =
      results_file.parent_path() / concat("samples_", task, "_", time_of(results_file), ".jsonl");
  if (!fs::exists(file)) {
    throw NotComparable(file.string(), concat("task '", task, "' has no samples"))
        .hint("a paired comparison needs them: run lm_eval with --log_samples");
  }
  std::vector<Sample> samples = read_samples(file);
  check_count(results, task, samples, file);
  return samples;
}

/// Groups appear among the results too, with no samples of their own.
bool is_group(const OrderedJson& results, const std::string& task) {
  const auto groups = results.find("group_subtasks");
  if (groups == results.end() || !groups->is_object()) return false;
  const auto group = groups->find(task);
  return group != groups->end() && !group->empty();
}

}  // namespace

ResultFolder read_result_folder(const fs::path& folder) {
  const fs::path file = newest_results_file(folder);
  ResultFolder out;
  out.path = file.parent_path();
  out.results = read_ordered_json(file);
  const auto tasks = out.results.find("results");
  if (!out.results.is_object() || tasks == out.results.end() || !tasks->is_object()) {
    throw FormatError(file, "key 'results' with one entry per task is missing");
  }
  for (const auto& [task, unused] : tasks->items()) {
    if (!is_group(out.results, task)) out.tasks[task] = read_task(out.results, task, file);
  }
  return out;
}

}  // namespace polygraft::eval
