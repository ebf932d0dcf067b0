// eval/statistics.h: the one statistics path: paired bootstrap over documents of a ratio of sums.
#pragma once
#include <cstdint>
#include <vector>

namespace polygraft::eval {

/// One paired observation: the same document under two models. `weight` is its bytes (1 for accuracy).
struct Pair {
  double baseline = 0;   ///< nats (or 0/1)
  double candidate = 0;
  double weight = 1;
};

struct Interval {
  double low = 0, high = 0;
};

struct PairedEstimate {
  double baseline = 0, candidate = 0;  ///< sum(values) / sum(weight)
  double delta = 0;                    ///< candidate - baseline
  double relative = 0;                 ///< delta / baseline
  Interval relative_interval;          ///< two-sided percentile bootstrap at `confidence`
  Interval baseline_interval, candidate_interval;
  int64_t num_pairs = 0;
};

struct BootstrapOptions {
  double confidence = 0.95;
  int64_t resamples = 2000;
  uint64_t seed = 17;
};

/// Resamples documents with replacement, both models together. Deterministic in (pairs, options).
/// @throws NotComparable for no pairs; NumericError for values that are not finite or weights that are not positive.
PairedEstimate paired_bootstrap(const std::vector<Pair>& pairs, const BootstrapOptions& options);

}  // namespace polygraft::eval
