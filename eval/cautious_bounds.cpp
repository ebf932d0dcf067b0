// eval/cautious_bounds.cpp: see cautious_bounds.h.
#include "eval/cautious_bounds.h"

#include <algorithm>
#include <cmath>

#include "eval/paired_answers.h"

namespace polygraft::eval {
namespace {

/// Bounds of the sum of what was won less what was lost, as a share.
Interval score_bounds(const ScoreChanges& scores, double confidence) {
  const auto& [lost, won, num_documents] = scores;
  return {-largest_loss(lost, won, num_documents, confidence),
          largest_loss(won, lost, num_documents, confidence)};
}

/// Bounds of documents that change by at most kUnseen times what the one did that changed most, as
/// a share of its size.
Interval bounds_of_few(const ResampledChange& change, double confidence) {
  double most = 0, rise = 0, fall = 0, total = 0;
  for (size_t d = 0; d < change.numerators.size(); ++d) {
    const double size = std::abs(change.numerators[d]);
    (change.numerators[d] > 0 ? rise : fall) += size;
    total += change.denominators[d];
    if (size > 0) most = std::max(most, kUnseen * size / change.denominators[d]);
  }
  if (most == 0) return {0, 0};
  const double count = effective_number(change.denominators);
  const double scores_per_change = count / (most * total);
  const Interval shares =
      score_bounds({scores_per_change * fall, scores_per_change * rise, count}, confidence);
  return {most * shares.low, most * shares.high};
}

/// The order statistic on the outer side of a quantile: infinite values cannot be interpolated.
double outer_quantile(const std::vector<double>& ascending, double probability) {
  if (std::isnan(ascending.back())) return ascending.back();
  const double position = probability * static_cast<double>(ascending.size() - 1);
  return ascending[static_cast<size_t>(probability < 0.5 ? position : std::ceil(position))];
}

Interval studentized_bounds(const ResampledChange& change, double confidence) {
  if (change.error == 0) return {change.estimate, change.estimate};
  const double above = outer_quantile(change.studentized, confidence);
  const double below = outer_quantile(change.studentized, 1 - confidence);
  const Interval of_few = bounds_of_few(change, confidence);
  return {std::max(change.estimate - change.error * above, of_few.low),
          std::min(change.estimate - change.error * below, of_few.high)};
}

/// Of the claim "worse than `limit`" by studentized resamples.
double studentized_p(const ResampledChange& change, double limit, bool higher_is_better) {
  if (change.error == 0) return 0;  // all resamples are the estimate, as percentiles know
  const double distance = (change.estimate - limit) / change.error;
  return higher_is_better ? p_above(change.studentized, distance)
                          : p_below(change.studentized, distance);
}

double score_p(const ScoreChanges& scores, double limit, bool higher_is_better) {
  const auto& [lost, won, num_documents] = scores;
  return higher_is_better ? p_loss_above(lost, won, num_documents, -limit)
                          : p_loss_above(won, lost, num_documents, limit);
}

}  // namespace

Interval cautious_bounds(const ResampledChange& change, const std::optional<ScoreChanges>& scores,
                         double confidence) {
  const Interval percentiles = percentile_bounds(change, confidence);
  const Interval beside =
      scores ? score_bounds(*scores, confidence) : studentized_bounds(change, confidence);
  return {std::min(percentiles.low, beside.low), std::max(percentiles.high, beside.high)};
}

double unchanged_reach(const ResampledChange& change, const std::optional<ScoreChanges>& scores,
                       double confidence) {
  const Interval percentiles = percentile_bounds(change, confidence);
  const double reach = (percentiles.high - percentiles.low) / 2;
  if (!scores) return reach;
  const double half = (scores->lost + scores->won) / 2;
  return std::max(reach, largest_loss(half, half, scores->num_documents, confidence));
}

double p_worse(const ResampledChange& change, const std::optional<ScoreChanges>& scores,
               double limit, bool higher_is_better) {
  if (std::isnan(change.values.back())) return 1;
  const double by_percentiles =
      higher_is_better ? p_below(change.values, limit) : p_above(change.values, limit);
  return std::max(by_percentiles, scores ? score_p(*scores, limit, higher_is_better)
                                         : studentized_p(change, limit, higher_is_better));
}

}  // namespace polygraft::eval
