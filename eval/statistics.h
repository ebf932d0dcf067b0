// eval/statistics.h: the one statistics path: paired bootstrap over documents of a ratio of sums.
// Bits per byte is sum(bits) / sum(bytes) over documents, so documents are drawn with replacement,
// both models' values and the bytes together (Efron & Tibshirani 1993, ch. 13: percentile
// intervals; Koehn 2004: pairing).
#pragma once
#include <cstdint>
#include <vector>

namespace polygraft::eval {

/// One paired observation: the same document under two models. `weight` is its bytes (1 for
/// accuracy).
struct Pair {
  double baseline = 0;  ///< nats (or 0/1)
  double candidate = 0;
  double weight = 1;
};

struct Interval {
  double low = 0, high = 0;
};

struct PairedEstimate {
  double baseline = 0, candidate = 0;  ///< sum(values) / sum(weight)
  double delta = 0;                    ///< candidate - baseline
  double relative = 0;         ///< delta / baseline; NaN for a baseline of zero, its intervals too
  Interval relative_interval;  ///< two-sided percentile bootstrap at `confidence`
  Interval baseline_interval, candidate_interval;
  Interval delta_interval;
  Interval relative_bounds;  ///< two one-sided bounds, each at `confidence`: what a one-sided test
                             ///< looks at
  Interval delta_bounds;
  int64_t num_pairs = 0;
};

struct BootstrapOptions {
  double confidence = 0.95;
  int64_t resamples = 2000;
  uint64_t seed = 17;
};

/// Resamples documents with replacement, both models together. Deterministic in (pairs, options).
/// @throws NotComparable for no pairs; NumericError for values that are not finite or weights that
/// are not positive; ConfigError for a confidence outside (0, 1) or no resamples.
PairedEstimate paired_bootstrap(const std::vector<Pair>& pairs, const BootstrapOptions& options);

/// The estimate with the resampled values it came from, ascending: what tests against a margin
/// need.
struct PairedDistribution {
  PairedEstimate estimate;
  std::vector<double> relative, delta;
};
PairedDistribution paired_bootstrap_distribution(const std::vector<Pair>& pairs,
                                                 const BootstrapOptions& options);

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

}  // namespace polygraft::eval
