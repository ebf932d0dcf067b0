// eval/pairing.cpp: a number may only be compared with the same metric of the same document under
// the same prompt.
#include "eval/pairing.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <regex>
#include <set>
#include <tuple>

#include "core/text.h"

namespace polygraft::eval {
namespace {

bool has_bits(const TaskSamples& task) {
  return task.metric_index("nats") >= 0 && task.metric_index("num_bytes") >= 0;
}

/// results["higher_is_better"][task][metric], where it is stated.
std::optional<bool> better_when_higher(const OrderedJson& results, const std::string& task,
                                       const std::string& metric) {
  const OrderedJson::json_pointer where =
      OrderedJson::json_pointer() / "higher_is_better" / task / metric;
  if (!results.contains(where) || !results[where].is_boolean()) return {};
  return results[where].get<bool>();
}

/// Sorted; bits per byte in place of the sums that they are made of.
std::vector<std::string> metrics_of(const TaskSamples& samples) {
  std::vector<std::string> names = samples.metrics;
  if (has_bits(samples)) {
    std::erase(names, "nats");
    std::erase(names, "num_bytes");
    names.emplace_back(kBitsPerByte);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string choose_metric(const ResultFolder& folder, const std::string& task,
                          const std::vector<std::string>& names,
                          std::vector<std::string> preferred) {
  for (const char* name : {kBitsPerByte, "acc", "exact_match"}) preferred.emplace_back(name);
  for (const std::string& name : preferred) {
    if (std::find(names.begin(), names.end(), name) != names.end()) return name;
  }
  for (const std::string& name : names) {
    if (better_when_higher(folder.results, task, name).value_or(false)) return name;
  }
  return "";
}

/// Empty when both samples are the same question.
std::string hash_mismatch(const Sample& a, const Sample& b) {
  const std::string document = concat("document ", a.doc_id, " differs: ");
  if (a.doc_hash != b.doc_hash) return document + "doc_hash";
  if (a.prompt_hash != b.prompt_hash) return document + "prompt_hash";
  if (a.target_hash != b.target_hash) return document + "target_hash";
  return "";
}

/// One metric of both sides' samples.
struct Columns {
  std::string metric;
  int64_t baseline = 0, candidate = 0;              ///< index of the value, or of its nats
  int64_t baseline_bytes = 0, candidate_bytes = 0;  ///< index of num_bytes, for bits per byte

  Columns(const std::string& name, const TaskSamples& from, const TaskSamples& to) : metric(name) {
    const std::string value = name == kBitsPerByte ? "nats" : name;
    baseline = from.metric_index(value);
    candidate = to.metric_index(value);
    baseline_bytes = from.metric_index("num_bytes");
    candidate_bytes = to.metric_index("num_bytes");
  }
};

double value_of(const Sample& sample, int64_t index) {
  return index < 0 ? std::nan("") : sample.values[static_cast<size_t>(index)];
}

bool is_share(const std::string& metric) {
  return metric == "acc" || metric == "acc_norm" || metric == "exact_match";
}
bool within_one(double value) { return value >= 0 && value <= 1; }

/// Adds one document's pair to `out`, or says why it cannot.
std::string add_pair(const Sample& a, const Sample& b, const Columns& columns, PairedTask& out) {
  Pair pair{value_of(a, columns.baseline), value_of(b, columns.candidate), 1, a.document};
  if (std::isnan(pair.baseline) || std::isnan(pair.candidate))
    return concat("document ", a.doc_id, " has no ", columns.metric);
  if (columns.metric == kBitsPerByte) {
    pair.weight = value_of(a, columns.baseline_bytes);
    if (pair.weight != value_of(b, columns.candidate_bytes))
      return concat("document ", a.doc_id, " differs: bytes");
    if (pair.baseline < 0 || pair.candidate < 0)
      return concat("document ", a.doc_id, " has bits below zero");
    pair.baseline /= M_LN2;
    pair.candidate /= M_LN2;
  }
  if (is_share(columns.metric) && (!within_one(pair.baseline) || !within_one(pair.candidate)))
    return concat("document ", a.doc_id, " has an ", columns.metric,
                  " that is not between 0 and 1");
  out.pairs.push_back(pair);
  return "";
}

using Samples = std::vector<Sample>;

/// Empty when both are of the same questions, in ascending order of their ids.
std::string first_difference(const Samples& from, const Samples& to) {
  for (size_t i = 0; i < std::max(from.size(), to.size()); ++i) {
    if (i >= to.size() || (i < from.size() && doc_id_less(from[i].doc_id, to[i].doc_id)))
      return concat("document ", from[i].doc_id, " is missing in the candidate");
    if (i >= from.size() || from[i].doc_id != to[i].doc_id)
      return concat("document ", to[i].doc_id, " is missing in the baseline");
    std::string mismatch = hash_mismatch(from[i], to[i]);
    if (!mismatch.empty()) return mismatch;
  }
  return "";
}

/// How many of `a` have their like in `b`, each of which serves once.
size_t count_common(const Samples& a, const Samples& b, auto key_of) {
  std::multiset<decltype(key_of(a.front()))> left;
  for (const Sample& sample : b) left.insert(key_of(sample));
  size_t count = 0;
  for (const Sample& sample : a) {
    const auto found = left.find(key_of(sample));
    if (found == left.end()) continue;
    left.erase(found);
    ++count;
  }
  return count;
}

/// Tells another text from another order, and from a part of it.
std::string extent_of_difference(const Samples& from, const Samples& to) {
  const size_t same = count_common(from, to, [](const Sample& s) {
    return std::tuple(s.doc_id, s.doc_hash, s.prompt_hash, s.target_hash);
  });
  const size_t same_text = count_common(from, to, [](const Sample& s) {
    return std::pair(s.doc_hash, s.doc_hash == 0 ? s.doc_id : "");
  });
  const std::string moved =
      same_text > same ? concat(", ", same_text - same, " the same text under another id or prompt")
                       : "";
  return concat(" (of ", from.size(), " in the baseline and ", to.size(), " in the candidate ",
                same, " are the same", moved, ")");
}

std::string pair_documents(const TaskSamples& baseline, const TaskSamples& candidate,
                           const std::string& metric, PairedTask& out) {
  const Columns columns(metric, baseline, candidate);
  const Samples &from = baseline.samples, &to = candidate.samples;
  const std::string difference = first_difference(from, to);
  if (!difference.empty()) return difference + extent_of_difference(from, to);
  out.samples = &from;
  out.pairs.reserve(from.size());
  for (size_t i = 0; i < from.size(); ++i) {
    const std::string problem = add_pair(from[i], to[i], columns, out);
    if (!problem.empty()) return problem;
  }
  double total = 0;
  for (const Pair& pair : out.pairs) total += pair.baseline;
  if (metric == kBitsPerByte && total <= 0) return "the baseline's bits per byte are not positive";
  return "";
}

/// Empty when both results files say the same of the task under `key`, or neither says anything.
std::string setting_mismatch(const ResultFolder& baseline, const ResultFolder& candidate,
                             const char* key, const std::string& task) {
  const OrderedJson::json_pointer where = OrderedJson::json_pointer() / key / task;
  const auto stated = [&](const ResultFolder& folder) {
    return folder.results.contains(where) ? folder.results[where].dump() : std::string("unstated");
  };
  const std::string a = stated(baseline), b = stated(candidate);
  return a == b ? "" : concat("\"", key, "\" of the task differs: ", a, " and ", b);
}

/// Empty where a higher value is better: of a share unless a results file denies it, of any other
/// metric if one says so.
std::string direction_mismatch(const ResultFolder& baseline, const ResultFolder& candidate,
                               const std::string& task, const std::string& metric) {
  if (metric == kBitsPerByte) return "";
  bool is_known = is_share(metric);
  for (const ResultFolder* folder : {&baseline, &candidate}) {
    const std::optional<bool> stated = better_when_higher(folder->results, task, metric);
    is_known = is_known || stated.has_value();
    if (stated.value_or(true)) continue;
    return concat("\"higher_is_better\" in ", folder->path.string(), " says that a lower ", metric,
                  " is better; the gate takes a higher one as better");
  }
  return is_known ? ""
                  : concat("neither side's \"higher_is_better\" says whether a higher ", metric,
                           " is better");
}

/// Nullptr when there are none.
const TaskSamples* samples_of(const ResultFolder& folder, const TaskKey& key) {
  const auto found = folder.tasks.find(key);
  return found == folder.tasks.end() || found->second.samples.empty() ? nullptr : &found->second;
}

PairedTask pair_task(const ResultFolder& baseline, const ResultFolder& candidate,
                     const TaskKey& key, const std::vector<std::string>& preferred) {
  PairedTask out;
  out.task = key.task;
  const TaskSamples* from = samples_of(baseline, key);
  const TaskSamples* to = samples_of(candidate, key);
  if (from == nullptr && to == nullptr) {
    out.mismatch = "no samples on either side";
    return out;
  }
  out.metrics = metrics_of(from == nullptr ? *to : *from);
  const std::string metric =
      choose_metric(from == nullptr ? candidate : baseline, key.task, out.metrics, preferred);
  out.metric = key.filter == "none" ? metric : concat(metric, ",", key.filter);
  out.higher_is_better = metric != kBitsPerByte;
  if (from == nullptr || to == nullptr) {
    out.mismatch = concat("missing in the ", to == nullptr ? "candidate" : "baseline");
    return out;
  }
  for (const char* setting : {"versions", "n-shot"}) {
    out.mismatch = setting_mismatch(baseline, candidate, setting, key.task);
    if (!out.mismatch.empty()) return out;
  }
  if (metric.empty()) {
    out.mismatch = concat(
        "no metric that the gate knows has a number for each sample (chrf, bleu and ter are of all "
        "samples at once); found: ",
        from->metrics.empty() ? "none" : join(from->metrics, ", "));
    return out;
  }
  out.mismatch = direction_mismatch(baseline, candidate, key.task, metric);
  if (out.mismatch.empty()) out.mismatch = pair_documents(*from, *to, metric, out);
  return out;
}

}  // namespace

std::vector<PairedTask> pair_results(const ResultFolder& baseline, const ResultFolder& candidate,
                                     const std::vector<std::string>& preferred) {
  std::set<TaskKey> keys;
  for (const auto& [key, unused] : baseline.tasks) keys.insert(key);
  for (const auto& [key, unused] : candidate.tasks) keys.insert(key);
  std::vector<PairedTask> out;
  for (const TaskKey& key : keys) out.push_back(pair_task(baseline, candidate, key, preferred));
  return out;
}

std::string task_language(const std::string& task, const std::vector<std::string>& known) {
  if (task.starts_with(kBpbTaskPrefix)) return task.substr(kBpbTaskPrefix.size());
  for (const std::string& language : known) {
    if (task.ends_with("_" + language)) return language;
  }
  static const std::regex code("_([a-z]{2,3}(_[A-Z][a-z]{3}|[-_][A-Z]{2})?)$");
  std::smatch match;
  return std::regex_search(task, match, code) ? match[1].str() : "";
}

}  // namespace polygraft::eval
