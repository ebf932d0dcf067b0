// eval/choice_results.cpp: multiple-choice scores in lm-evaluation-harness's files. Unlike bits per
// byte, an item's own line is copied into its sample, so that doc_hash is lm-eval's.
#include <cmath>

#include "core/error.h"
#include "core/hash.h"
#include "core/text.h"
#include "eval/choice.h"
#include "eval/results.h"
#include "eval/results_frame.h"

namespace polygraft::eval {
namespace {

std::string log_likelihood_text(const ChoiceScore::Choice& choice) {
  return Json(-choice.nats).dump();
}

/// lm-eval's hash of an item: of Python's json.dumps(doc, indent=2, ensure_ascii=False).
std::string doc_hash(const ChoiceItem& item) { return sha256(item.json.dump(2)); }

OrderedJson sample_json(const ChoiceItem& item, const ChoiceScore& score, int64_t index) {
  OrderedJson sample, all = OrderedJson::array(), each = OrderedJson::array();
  OrderedJson num_tokens = OrderedJson::array();
  for (const ChoiceScore::Choice& choice : score.choices) {
    const OrderedJson one = OrderedJson::array({log_likelihood_text(choice)});
    all.push_back(OrderedJson::array({one}));
    each.push_back(one);
    num_tokens.push_back(choice.num_tokens);
  }
  sample["doc_id"] = index;
  sample["doc"] = item.json;
  sample["target"] = std::to_string(item.gold);
  sample["arguments"] = OrderedJson::object();
  sample["resps"] = all;
  sample["filtered_resps"] = each;
  sample["filter"] = "none";
  sample["metrics"] = OrderedJson::array();
  sample["doc_hash"] = doc_hash(item);
  sample["prompt_hash"] = sha256(item.context);
  sample["target_hash"] = sha256(std::to_string(item.gold));
  const ChoiceAccuracy accuracy = accuracy_of(score, item.gold);
  for (const auto& [name, is_right] : kAccuracyMetrics) {
    sample["metrics"].push_back(name);
    sample[name] = accuracy.*is_right ? 1.0 : 0.0;
  }
  sample["num_tokens"] = num_tokens;
  return sample;
}

/// Mean and its standard error (sample deviation / sqrt(n)), as lm-eval's mean_stderr.
void add_mean(OrderedJson& metrics, const std::string& name, double mean, double n) {
  metrics[name + ",none"] = mean;
  metrics[name + "_stderr,none"] = "N/A";
  if (n > 1) metrics[name + "_stderr,none"] = std::sqrt(mean * (1 - mean) / (n - 1));
}

OrderedJson task_metrics(const ChoiceTask& task) {
  OrderedJson metrics;
  const auto num_items = static_cast<double>(task.items.size());
  for (const AccuracyMetric& metric : kAccuracyMetrics)
    add_mean(metrics, metric.name, accuracy_of(task, metric), num_items);
  return metrics;
}

OrderedJson task_config(const std::string& name) {
  OrderedJson config;
  config["task"] = name;
  config["output_type"] = "multiple_choice";
  config["target_delimiter"] = "";
  config["metric_list"] = OrderedJson::array();
  for (const AccuracyMetric& metric : kAccuracyMetrics)
    config["metric_list"].push_back({{"metric", metric.name}});
  config["num_fewshot"] = 0;
  config["repeats"] = 1;
  config["metadata"] = {{"version", kTaskVersion}};
  return config;
}

std::string task_hash(const ChoiceTask& task) {
  Sha256 hash;
  for (const ChoiceItem& item : task.items) {
    hash.update(doc_hash(item));
    hash.update(sha256(item.context));
    hash.update(sha256(std::to_string(item.gold)));
  }
  return hash.finish();
}

void add_choice_task(OrderedJson& document, const std::string& name, const ChoiceTask& task) {
  OrderedJson higher_is_better;
  for (const AccuracyMetric& metric : kAccuracyMetrics) higher_is_better[metric.name] = true;
  add_task(document, name, task.items.size(), task_metrics(task), higher_is_better);
  document["configs"][name] = task_config(name);
  document["task_hashes"][name] = task_hash(task);
}

void write_samples(const ChoiceTask& task, AtomicFile& out) {
  for (size_t i = 0; i < task.items.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    out.write(sample_json(task.items[i], task.scores[i], index).dump() + "\n");
  }
}

}  // namespace

double accuracy_of(const ChoiceTask& task, const AccuracyMetric& metric) {
  double num_right = 0;
  for (size_t i = 0; i < task.items.size(); ++i) {
    num_right += accuracy_of(task.scores[i], task.items[i].gold).*metric.is_right ? 1 : 0;
  }
  return num_right / static_cast<double>(task.items.size());
}

void write_choice_result(const ChoiceResult& result, const std::filesystem::path& folder) {
  if (result.tasks.empty()) throw ConfigError("tasks", "there is nothing to write");
  Problems problems;
  for (const auto& [name, task] : result.tasks) check_name("tasks", name, problems);
  problems.throw_if_any("tasks");
  OrderedJson document = results_frame(result.model_path, result.model_hash, result.config);
  std::map<std::string, std::function<void(AtomicFile&)>> sample_writers;
  for (const auto& [name, task] : result.tasks) {
    add_choice_task(document, name, task);
    sample_writers[name] = [&task = task](AtomicFile& out) { write_samples(task, out); };
  }
  write_result_folder(folder, document, sample_writers);
}

}  // namespace polygraft::eval
