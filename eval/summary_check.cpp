// eval/summary_check.cpp: see summary_check.h. Reference: lm-eval 0.4.13, api/metrics.py (mean,
// weighted_perplexity, bits_per_byte).
#include "eval/summary_check.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"

namespace polygraft::eval {
namespace {

/// Relative. Programs write all digits of a double, but add up in another order.
constexpr double kTolerance = 1e-6;

/// Averaged by lm-eval and by us where the task's settings say nothing else.
constexpr std::string_view kMeans[] = {"acc", "acc_norm", "acc_bytes", "acc_tokens", "exact_match"};

using Path = std::vector<std::string>;

/// Nullptr where there is none.
const OrderedJson* value_at(const OrderedJson& json, const Path& path) {
  const OrderedJson* value = &json;
  for (const std::string& key : path) {
    const auto entry = value->is_object() ? value->find(key) : value->end();
    if (entry == value->end()) return nullptr;
    value = &*entry;
  }
  return value;
}

/// What a results file states of one task.
class Summary {
 public:
  Summary(const OrderedJson& results, const TaskKey& key, const TaskSamples& samples,
          const std::filesystem::path& file)
      : results_(results), key_(key), samples_(samples), file_(file) {}

  void check_rolling() const {
    const double nats = sum("nats"), num_bytes = sum("num_bytes");
    if (!(num_bytes > 0) || std::isnan(nats)) return;
    const double bits_per_byte = nats / M_LN2 / num_bytes;
    if (is_aggregated("bits_per_byte", "bits_per_byte"))
      check_metric("bits_per_byte", bits_per_byte);
    if (is_aggregated("byte_perplexity", "weighted_perplexity"))
      check_metric("byte_perplexity", std::exp(nats / num_bytes));
    if (!key_.task.starts_with(kBpbTaskPrefix)) return;
    const Path totals = {"polygraft", "languages", key_.task.substr(kBpbTaskPrefix.size())};
    check_below(totals, {"documents"}, num_samples());
    check_below(totals, {"nats"}, nats);
    check_below(totals, {"num_bytes"}, num_bytes);
    check_below(totals, {"causes", "documents"}, num_samples());
    check_below(totals, {"causes", "bits_per_byte_expanded"}, bits_per_byte);
  }

  void check_means() const {
    for (const std::string& metric : samples_.metrics)
      if (is_mean(metric)) check_metric(metric, sum(metric) / num_samples());
  }

 private:
  double num_samples() const { return static_cast<double>(samples_.samples.size()); }

  /// NaN where a sample lacks the metric.
  double sum(const std::string& metric) const {
    const int64_t index = samples_.metric_index(metric);
    if (index < 0) return std::numeric_limits<double>::quiet_NaN();
    double total = 0;
    for (const Sample& sample : samples_.samples)
      total += sample.values[static_cast<size_t>(index)];
    return total;
  }

  /// configs[task].metric_list[..].aggregation: a name, or a task's own function as text; "" where
  /// it is the metric's usual one.
  std::string aggregation(const std::string& metric) const {
    const OrderedJson* list = value_at(results_, {"configs", key_.task, "metric_list"});
    if (list == nullptr || !list->is_array()) return "";
    for (const OrderedJson& entry : *list) {
      const OrderedJson* name = value_at(entry, {"metric"});
      const OrderedJson* how = value_at(entry, {"aggregation"});
      if (name != nullptr && *name == metric && how != nullptr && !how->is_null())
        return how->is_string() ? how->get<std::string>() : how->dump();
    }
    return "";
  }

  bool is_aggregated(const std::string& metric, std::string_view usually) const {
    const std::string stated = aggregation(metric);
    return stated.empty() || stated == usually;
  }

  bool is_mean(const std::string& metric) const {
    const bool is_usual =
        std::find(std::begin(kMeans), std::end(kMeans), metric) != std::end(kMeans);
    const std::string stated = aggregation(metric);
    return stated == "mean" || (is_usual && stated.empty());
  }

  void check_metric(const std::string& metric, double derived) const {
    check({"results", key_.task, concat(metric, ",", key_.filter)}, derived);
  }

  void check_below(Path path, const Path& rest, double derived) const {
    path.insert(path.end(), rest.begin(), rest.end());
    check(path, derived);
  }

  /// Of what is stated as a number; lm-eval has "N/A", too.
  void check(const Path& path, double derived) const {
    const OrderedJson* value = value_at(results_, path);
    if (value == nullptr || !value->is_number() || !std::isfinite(derived)) return;
    const auto stated = value->get<double>();
    const double scale = std::max(std::abs(stated), std::abs(derived));
    if (std::abs(stated - derived) <= kTolerance * scale) return;
    throw NotComparable(file_.string(),
                        concat("key '", join(path, "."), "' is not what the samples say"))
        .expected(concat(Json(derived).dump(), ", by ", samples_.samples.size(), " samples"))
        .found(value->dump())
        .hint("one of the two was edited, or is another evaluation's: evaluate again");
  }

  const OrderedJson& results_;
  const TaskKey& key_;
  const TaskSamples& samples_;
  const std::filesystem::path& file_;
};

}  // namespace

void check_summary(const OrderedJson& results, const TaskKey& key, const TaskSamples& samples,
                   const std::filesystem::path& results_file) {
  if (samples.samples.empty()) return;
  const Summary summary(results, key, samples, results_file);
  summary.check_rolling();
  summary.check_means();
}

}  // namespace polygraft::eval
