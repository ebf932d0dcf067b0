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
    if (key_.task.starts_with(kBpbTaskPrefix)) check_totals(nats, num_bytes, bits_per_byte);
  }

  void check_means() const {
    for (const std::string& metric : samples_.metrics) {
      const bool is_usual =
          std::find(std::begin(kMeans), std::end(kMeans), metric) != std::end(kMeans);
      if (is_aggregated(metric, "mean", is_usual))
        check_metric(metric, sum(metric) / num_samples());
    }
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

  /// By configs[task].metric_list[..].aggregation: a name, or a task's own function as text. A list
  /// without the metric's name has it as a function, too, whose text is its entry's name.
  /// @param is_usual whether it is aggregated so where nothing is said.
  bool is_aggregated(const std::string& metric, std::string_view how, bool is_usual = true) const {
    const OrderedJson* list = value_at(results_, {"configs", key_.task, "metric_list"});
    if (list == nullptr || !list->is_array()) return is_usual;
    for (const OrderedJson& entry : *list) {
      const OrderedJson* name = value_at(entry, {"metric"});
      if (name == nullptr || *name != metric) continue;
      const OrderedJson* stated = value_at(entry, {"aggregation"});
      return stated == nullptr || stated->is_null() ? is_usual : *stated == how;
    }
    return false;
  }

  void check_metric(const std::string& metric, double derived) const {
    check({"results", key_.task, concat(metric, ",", key_.filter)}, derived);
  }

  /// Ours, of a language.
  void check_totals(double nats, double num_bytes, double bits_per_byte) const {
    const std::string language = key_.task.substr(kBpbTaskPrefix.size());
    const auto below = [&](const Path& rest, double derived) {
      Path path = {"polygraft", "languages", language};
      path.insert(path.end(), rest.begin(), rest.end());
      check(path, derived);
    };
    below({"documents"}, num_samples());
    below({"nats"}, nats);
    below({"num_bytes"}, num_bytes);
    below({"causes", "documents"}, num_samples());
    below({"causes", "bits_per_byte_expanded"}, bits_per_byte);
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
