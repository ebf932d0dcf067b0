// eval/statistics.h: the one statistics path: paired bootstrap over documents of a ratio of sums.
// Samples of one document are drawn together (cluster bootstrap, Davison & Hinkley 1997, 3.8).
// Above kMaxDrawn documents, equal random groups of them are drawn instead (Wolter 2007, ch. 2):
// the same variance in expectation, for a bounded time. Bits per byte is sum(bits) / sum(bytes)
// over documents, so documents are drawn with replacement, both models' values and the bytes
// together (Efron & Tibshirani 1993, ch. 13: percentile intervals; Koehn 2004: pairing).
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace polygraft::eval {

/// One paired observation: the same sample under two models. `weight` is its bytes (1 for
/// accuracy).
struct Pair {
  double baseline = 0;  ///< nats (or 0/1)
  double candidate = 0;
  double weight = 1;
  uint64_t document = 0;  ///< pairs with the same number are drawn together; 0 stands alone
};

struct Interval {
  double low = 0, high = 0;
};

struct PairedEstimate {
  double baseline = 0, candidate = 0;  ///< sum(values) / sum(weight)
  double delta = 0;                    ///< candidate - baseline
  double relative = 0;         ///< delta / baseline; NaN for a baseline of zero, its intervals too
  Interval relative_interval;  ///< two-sided percentile bootstrap at `confidence`
  Interval delta_interval;
  Interval relative_bounds;  ///< percentile_bounds(). Asked for at (1 + c) / 2, the two are the
                             ///< two-sided interval at c as it is with few documents, where
                             ///< relative_interval is too narrow
  double relative_error = 0, delta_error = 0;  ///< standard deviations of the resampled values
  int64_t num_pairs = 0;
  int64_t num_documents = 0;       ///< that the pairs come from
  double effective_documents = 0;  ///< of one weight that would say as much (effective_number)
  double largest_share = 0;  ///< of all that documents changed, up or down, the share of the one
                             ///< that changed most; 0 where nothing changed
  size_t largest_pair = 0;   ///< that document's first
};

constexpr size_t kMaxDrawn = 16384;

struct BootstrapOptions {
  double confidence = 0.95;
  int64_t resamples = 2000;
  uint64_t seed = 17;
};

/// Resamples documents with replacement, both models together. Deterministic in (pairs, options).
/// @throws NotComparable for no pairs; NumericError for values that are not finite or weights that
/// are not positive; ConfigError for a confidence outside (0, 1) or no resamples.
PairedEstimate paired_bootstrap(const std::vector<Pair>& pairs, const BootstrapOptions& options);

/// A change under resampling: what tests against a margin need.
struct ResampledChange {
  double estimate = 0;
  double error = 0;                 ///< standard error of a ratio of sums, linearised
  std::vector<double> values;       ///< ascending
  std::vector<double> studentized;  ///< (value - estimate) / error of that resample; ascending
  /// By document, or by group of documents: their ratio of sums is the estimate.
  std::vector<double> numerators, denominators;
};

struct PairedDistribution {
  PairedEstimate estimate;
  ResampledChange relative, delta;
};
PairedDistribution paired_bootstrap_distribution(const std::vector<Pair>& pairs,
                                                 const BootstrapOptions& options);

/// Two one-sided bounds, each at `confidence` (expanded percentiles, small_sample.h).
Interval percentile_bounds(const ResampledChange& change, double confidence);

/// Quantile of ascending values with linear interpolation (numpy's default, Hyndman & Fan type 7);
/// NaN if one is NaN.
double quantile(const std::vector<double>& ascending, double probability);

/// Bootstrap p-value of the claim "above `limit`": (1 + resamples at or below it) / (1 +
/// resamples). Never zero.
double p_above(const std::vector<double>& ascending, double limit);
/// The same for "below `limit`".
double p_below(const std::vector<double>& ascending, double limit);

/// Holm's step-down adjustment (1979): the family-wise error over all claims stays below the level
/// used with the result. Order is kept.
std::vector<double> holm_adjusted(const std::vector<double>& p_values);

/// The pairs of answers in which exactly one side is right.
struct ChangedAnswers {
  int64_t lost = 0, won = 0;  ///< right before and wrong now; wrong before and right now
  /// Exact McNemar test (1947) of "as many were lost as won", two-sided; nothing when samples share
  /// a document: then they are not independent, which the test assumes.
  std::optional<double> mcnemar_p;
};
/// Nothing when a value is neither 0 nor 1.
std::optional<ChangedAnswers> changed_answers(const std::vector<Pair>& pairs);
double mcnemar_p(int64_t lost, int64_t won);

/// How many documents of one size are as good as these of several: (sum m)^2 / sum m^2 (Kish 1965,
/// "Survey Sampling", 8.2).
double effective_number(const std::vector<double>& sizes);

/// What scores between 0 and 1 lost and won, counted in documents: the answers of one may all have
/// changed together.
struct ScoreChanges {
  double lost = 0, won = 0;  ///< sums of the documents' mean falls and mean rises
  double num_documents = 0;  ///< effective, 1 to the number of documents
};
/// Nothing when a value is outside [0, 1].
std::optional<ScoreChanges> score_changes(const std::vector<Pair>& pairs);

/// The chance that an unchanged model's bound stays within `margin`, for a change measured with
/// `standard_error` (normal approximation). @param reach how far the bound lies beyond the measured
/// change
double non_inferiority_power(double margin, double standard_error, double reach);
/// By which factor the number of documents must grow to reach `power`; below 1 when it is reached.
double growth_for_power(double margin, double standard_error, double reach, double power);

}  // namespace polygraft::eval
