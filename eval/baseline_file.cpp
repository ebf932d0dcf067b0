// eval/baseline_file.cpp: {"polygraft_baseline": 1, "results": {...}, "tasks": {TASK: {FILTER:
// {"metrics": [...], "samples": {DOC_ID: [doc_hash, prompt_hash, target_hash, document,
// values...]}}}}}.
#include "eval/baseline_file.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <limits>
#include <sstream>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "eval/roles.h"

namespace polygraft::eval {
namespace {

constexpr size_t kNumHashes = 4;

std::string text_json(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// What of the results file a comparison looks at.
Json kept_results(const OrderedJson& results) {
  Json kept = Json::object();
  for (const char* key : {"date", "higher_is_better", "lm_eval_version", "model_name", "n-shot",
                          "task_hashes", "versions"}) {
    if (results.contains(key)) kept[key] = Json::parse(results[key].dump());
  }
  for (const char* part : {"/polygraft/model_hash", "/polygraft/config", "/config/model_sha",
                           "/config/model_revision"}) {
    const OrderedJson::json_pointer where(part);
    if (results.contains(where))
      kept[Json::json_pointer(part)] = Json::parse(results[where].dump());
  }
  for (const auto& [language, role] : stated_roles(results))
    kept["polygraft"]["languages"][language]["role"] = role;
  return kept;
}

/// 16 hexadecimal digits, which fingerprint() reads back; a JSON number would lose its last bits in
/// other programs.
std::string hash_text(uint64_t hash) {
  std::ostringstream out;
  out << std::hex << std::setfill('0') << std::setw(16) << hash;
  return out.str();
}

std::string sample_json(const Sample& sample) {
  Json row = Json::array();
  for (const uint64_t hash :
       {sample.doc_hash, sample.prompt_hash, sample.target_hash, sample.document})
    row.push_back(hash_text(hash));
  for (const double value : sample.values) row.push_back(std::isnan(value) ? Json() : Json(value));
  return row.dump();
}

std::string task_json(const TaskSamples& task) {
  std::string out = concat("{\"metrics\": ", Json(task.metrics).dump(), ", \"samples\": {\n");
  for (const Sample& sample : task.samples) {
    const bool last = &sample == &task.samples.back();
    out += concat(text_json(sample.doc_id), ": ", sample_json(sample), last ? "" : ",", "\n");
  }
  return out + "}}";
}

uint64_t hash_of(const OrderedJson& json) { return fingerprint(json.get<std::string>()); }

Sample read_sample(const std::string& doc_id, const OrderedJson& row, size_t num_metrics,
                   const fs::path& file) {
  if (!row.is_array() || row.size() != kNumHashes + num_metrics) {
    throw FormatError(file, concat("sample ", doc_id, " has the wrong length"))
        .expected(concat(kNumHashes, " hashes and ", num_metrics, " values"));
  }
  for (size_t i = 0; i < row.size(); ++i) {
    const bool fits = i < kNumHashes ? row[i].is_string() : row[i].is_number() || row[i].is_null();
    if (!fits)
      throw FormatError(file, concat("sample ", doc_id, " has no ",
                                     i < kNumHashes ? "hash" : "number", " at ", i));
  }
  Sample sample{.doc_id = doc_id,
                .doc_hash = hash_of(row[0]),
                .prompt_hash = hash_of(row[1]),
                .target_hash = hash_of(row[2]),
                .document = hash_of(row[3])};
  for (size_t i = kNumHashes; i < row.size(); ++i) {
    sample.values.push_back(row[i].is_null() ? std::numeric_limits<double>::quiet_NaN()
                                             : row[i].get<double>());
  }
  return sample;
}

TaskSamples read_task(const OrderedJson& json, const fs::path& file) {
  TaskSamples task;
  task.metrics = json_get<std::vector<std::string>>(json, "metrics", file);
  const auto samples = json_get<OrderedJson>(json, "samples", file);
  for (const auto& [doc_id, row] : samples.items())
    task.samples.push_back(read_sample(doc_id, row, task.metrics.size(), file));
  const auto less = [](const Sample& a, const Sample& b) {
    return doc_id_less(a.doc_id, b.doc_id);
  };
  std::sort(task.samples.begin(), task.samples.end(), less);
  return task;
}

}  // namespace

void write_baseline(const ResultFolder& folder, const fs::path& file) {
  AtomicFile out(file);
  out.write(concat("{\"polygraft_baseline\": ", kBaselineSchema,
                   ",\n\"results\": ", kept_results(folder.results).dump(1), ",\n\"tasks\": {"));
  std::string task, separator = "\n";
  for (const auto& [key, samples] : folder.tasks) {
    if (key.task != task) {
      out.write(concat(task.empty() ? "\n" : "},\n", text_json(key.task), ": {"));
      separator = "\n";
    }
    task = key.task;
    out.write(concat(separator, text_json(key.filter), ": ", task_json(samples)));
    separator = ",\n";
  }
  out.write(task.empty() ? "}}\n" : "}}}\n");
  out.commit();
}

ResultFolder read_baseline(const fs::path& file) {
  const OrderedJson json = read_ordered_json(file);
  const int64_t schema =
      json.is_object() ? json_get_or<int64_t>(json, "polygraft_baseline", 0, file) : 0;
  if (schema != kBaselineSchema) {
    throw NotComparable(file.string(),
                        "is neither a result folder nor a baseline this version reads")
        .expected(concat("\"polygraft_baseline\": ", kBaselineSchema))
        .found(schema == 0 ? "none" : concat(schema))
        .hint("write it again with `polygraft eval compare RESULTS --write-baseline FILE`");
  }
  ResultFolder out;
  out.path = file;
  out.results = json_get<OrderedJson>(json, "results", file);
  const auto tasks = json_get<OrderedJson>(json, "tasks", file);
  for (const auto& [task, filters] : tasks.items()) {
    for (const auto& [filter, samples] : filters.items())
      out.tasks[{task, filter}] = read_task(samples, file);
  }
  return out;
}

}  // namespace polygraft::eval
