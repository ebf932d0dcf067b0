// eval/pairing.cpp: a number may only be compared with the same metric of the same document under
// the same prompt.
#include "eval/pairing.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <regex>
#include <set>

#include "core/text.h"

namespace polygraft::eval {
namespace {

constexpr const char* kBitsPerByte = "bits_per_byte";

using ById = std::map<std::string, const Sample*>;

/// Samples of one task, by filter and document.
std::map<std::string, ById> by_filter(const ResultFolder& folder, const std::string& task) {
  std::map<std::string, ById> filters;
  const auto samples = folder.tasks.find(task);
  if (samples == folder.tasks.end()) return filters;
  for (const Sample& sample : samples->second) filters[sample.filter][sample.doc_id] = &sample;
  return filters;
}

bool has_bits(const Sample& sample) {
  return sample.metrics.contains("nats") && sample.metrics.contains("num_bytes");
}

/// results["higher_is_better"][task][metric], true only where it is stated.
bool better_when_higher(const OrderedJson& results, const std::string& task,
                        const std::string& metric) {
  const OrderedJson::json_pointer where =
      OrderedJson::json_pointer() / "higher_is_better" / task / metric;
  return results.contains(where) && results[where].is_boolean() && results[where].get<bool>();
}

std::string choose_metric(const ResultFolder& folder, const std::string& task,
                          const Sample& sample) {
  if (has_bits(sample)) return kBitsPerByte;
  for (const char* name : {"acc", "exact_match"}) {
    if (sample.metrics.contains(name)) return name;
  }
  for (const auto& [name, unused] : sample.metrics) {
    if (better_when_higher(folder.results, task, name)) return name;
  }
  return "";
}

std::string metric_names(const Sample& sample) {
  std::vector<std::string> names;
  for (const auto& [name, unused] : sample.metrics) names.push_back(name);
  return names.empty() ? "none" : join(names, ", ");
}

/// Empty when both samples are the same question.
std::string hash_mismatch(const Sample& a, const Sample& b) {
  const std::string document = concat("document ", a.doc_id, " differs: ");
  if (a.doc_hash != b.doc_hash) return document + "doc_hash";
  if (a.prompt_hash != b.prompt_hash) return document + "prompt_hash";
  if (a.target_hash != b.target_hash) return document + "target_hash";
  return "";
}

std::string missing_document(const ById& from, const ById& in, const char* side) {
  for (const auto& [id, unused] : from) {
    if (!in.contains(id)) return concat("document ", id, " is missing in the ", side);
  }
  return "";
}

/// Adds one document's pair to `out`, or says why it cannot.
std::string add_pair(const Sample& a, const Sample& b, const std::string& metric, PairedTask& out) {
  const std::string document = concat("document ", a.doc_id);
  if (metric != kBitsPerByte) {
    const auto value_a = a.metrics.find(metric), value_b = b.metrics.find(metric);
    if (value_a == a.metrics.end() || value_b == b.metrics.end()) {
      return concat(document, " has no ", metric);
    }
    out.pairs.push_back({value_a->second, value_b->second, 1});
    return "";
  }
  if (!has_bits(a) || !has_bits(b)) return concat(document, " has no bits_per_byte");
  const double num_bytes = a.metrics.at("num_bytes");
  if (num_bytes != b.metrics.at("num_bytes")) return concat(document, " differs: bytes");
  out.pairs.push_back({a.metrics.at("nats") / M_LN2, b.metrics.at("nats") / M_LN2, num_bytes});
  return "";
}

std::string pair_documents(const ById& baseline, const ById& candidate, const std::string& metric,
                           PairedTask& out) {
  std::string mismatch = missing_document(baseline, candidate, "candidate");
  if (mismatch.empty()) mismatch = missing_document(candidate, baseline, "baseline");
  if (!mismatch.empty()) return mismatch;
  for (const auto& [id, sample] : baseline) {
    const Sample& other = *candidate.at(id);
    mismatch = hash_mismatch(*sample, other);
    if (mismatch.empty()) mismatch = add_pair(*sample, other, metric, out);
    if (!mismatch.empty()) return mismatch;
  }
  double total = 0;
  for (const Pair& pair : out.pairs) total += pair.baseline;
  if (metric == kBitsPerByte && total <= 0) return "the baseline's bits per byte are not positive";
  return "";
}

std::string version_mismatch(const ResultFolder& baseline, const ResultFolder& candidate,
                             const std::string& task) {
  const OrderedJson::json_pointer where = OrderedJson::json_pointer() / "versions" / task;
  if (!baseline.results.contains(where) || !candidate.results.contains(where)) return "";
  const OrderedJson& a = baseline.results[where];
  const OrderedJson& b = candidate.results[where];
  return a == b ? "" : concat("task version differs: ", a.dump(), " and ", b.dump());
}

PairedTask pair_filter(const ResultFolder& baseline, const std::string& task,
                       const std::string& filter, const ById& samples, const ById& others) {
  PairedTask out;
  out.task = task;
  if (samples.empty() || others.empty()) {
    out.mismatch = concat("missing in the ", samples.empty() ? "baseline" : "candidate");
    return out;
  }
  const Sample& first = *samples.begin()->second;
  const std::string metric = choose_metric(baseline, task, first);
  out.metric = filter == "none" ? metric : concat(metric, ",", filter);
  out.higher_is_better = metric != kBitsPerByte;
  out.mismatch = metric.empty()
                     ? concat("no metric that the gate knows; found: ", metric_names(first))
                     : pair_documents(samples, others, metric, out);
  return out;
}

}  // namespace

std::vector<PairedTask> pair_results(const ResultFolder& baseline, const ResultFolder& candidate) {
  std::set<std::string> tasks;
  for (const auto& [task, unused] : baseline.tasks) tasks.insert(task);
  for (const auto& [task, unused] : candidate.tasks) tasks.insert(task);
  std::vector<PairedTask> out;
  for (const std::string& task : tasks) {
    auto left = by_filter(baseline, task);
    auto right = by_filter(candidate, task);
    std::set<std::string> filters;
    for (const auto& [filter, unused] : left) filters.insert(filter);
    for (const auto& [filter, unused] : right) filters.insert(filter);
    const std::string versions = version_mismatch(baseline, candidate, task);
    for (const std::string& filter : filters) {
      out.push_back(pair_filter(baseline, task, filter, left[filter], right[filter]));
      if (!versions.empty()) out.back().mismatch = versions;
    }
    if (filters.empty()) out.push_back({.task = task, .mismatch = "no samples on either side"});
  }
  return out;
}

std::string task_language(const std::string& task, const std::vector<std::string>& known) {
  if (task.starts_with("bpb_")) return task.substr(4);
  for (const std::string& language : known) {
    if (task.ends_with("_" + language)) return language;
  }
  static const std::regex code("_([a-z]{2,3}(_[A-Z][a-z]{3}|[-_][A-Z]{2})?)$");
  std::smatch match;
  return std::regex_search(task, match, code) ? match[1].str() : "";
}

}  // namespace polygraft::eval
