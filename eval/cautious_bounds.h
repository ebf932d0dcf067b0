// eval/cautious_bounds.h: how far a change may go beyond what was measured, for the gate.
// Percentiles of a bootstrap are too near where most of the change sits in few documents, since
// many resamples have few of those; dividing each by its own standard error makes up for it
// ("bootstrap-t", Efron & Tibshirani 1993, 12.5; second-order correct, Hall 1988). So of each side
// the farther counts:
//
//   expanded percentiles   small_sample.h: few documents, or few that weigh
//   studentized resamples  but no farther than the score test's bound (paired_answers.h) for
//                          documents that change by at most kUnseen times the most that one was
//                          seen to: a resample without any that changed has no standard error
//
// Scores between 0 and 1 change by at most 1, so the score test needs no such guess: of them the
// farther of the percentiles' bound and its own counts.
#pragma once
#include <optional>

#include "eval/statistics.h"

namespace polygraft::eval {

/// How many times as much as any document seen, for its size, one that was not seen may change.
constexpr double kUnseen = 3;

/// Two one-sided bounds of a change, each at `confidence`; asked for at (1 + c) / 2 they are a
/// two-sided interval at c, which holds the bounds at c. NaN where the change is.
/// @param scores where the change is of scores between 0 and 1
Interval cautious_bounds(const ResampledChange& change, const std::optional<ScoreChanges>& scores,
                         double confidence);

/// How far beyond the measured change the bound of an unchanged model would lie: of one whose
/// changes are as large but cancel.
double unchanged_reach(const ResampledChange& change, const std::optional<ScoreChanges>& scores,
                       double confidence);

/// p-value of the claim "worse than `limit`": the larger one of those that go with the two bounds;
/// 1 where the change is NaN in a resample. @param limit a change, of scores none that is better
double p_worse(const ResampledChange& change, const std::optional<ScoreChanges>& scores,
               double limit, bool higher_is_better);

}  // namespace polygraft::eval
