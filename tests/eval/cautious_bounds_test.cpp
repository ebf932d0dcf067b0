// tests/eval/cautious_bounds_test.cpp: each of the two bounds where it is the farther one.
#include "eval/cautious_bounds.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "core/random.h"
#include "eval/paired_answers.h"

namespace polygraft::eval {
namespace {

const std::optional<ScoreChanges> kNoScores;

/// Documents of one size, of which the first `num_changed` are worse by `change` of theirs, and all
/// by some noise.
std::vector<Pair> documents(int count, int num_changed, double change, double noise = 0) {
  RandomStream random(3, "cautious_bounds_test");
  std::vector<Pair> pairs;
  for (int d = 0; d < count; ++d)
    pairs.push_back(
        {100, 100 * (1 + (d < num_changed ? change : 0) + noise * random.normal()), 60});
  return pairs;
}

ResampledChange relative_of(const std::vector<Pair>& pairs) {
  return paired_bootstrap_distribution(pairs, {.resamples = 4000}).relative;
}

}  // namespace

TEST_CASE("where all documents change alike, the bounds are the percentiles', near enough",
          "[eval][statistics]") {
  const ResampledChange change = relative_of(documents(400, 0, 0, 0.01));
  const Interval plain = percentile_bounds(change, 0.95);
  const Interval cautious = cautious_bounds(change, kNoScores, 0.95);
  const double width = plain.high - plain.low;
  CHECK(cautious.high >= plain.high);
  CHECK(cautious.low <= plain.low);
  CHECK(cautious.high - cautious.low < 1.1 * width);
  CHECK(unchanged_reach(change, kNoScores, 0.95) == Approx(width / 2));
}

TEST_CASE("a bound reaches farther to the side on which few documents changed",
          "[eval][statistics]") {
  const ResampledChange change = relative_of(documents(140, 14, 0.02, 0.0001));
  const Interval plain = percentile_bounds(change, 0.95);
  const Interval cautious = cautious_bounds(change, kNoScores, 0.95);
  CHECK(cautious.high - change.estimate > 1.25 * (plain.high - change.estimate));
  CHECK(cautious.low == Approx(plain.low).margin(0.1 * (change.estimate - plain.low)));
}

TEST_CASE("documents of which two changed are bounded as scores, since resamples miss both",
          "[eval][statistics]") {
  for (const double per_document : {0.07, 0.00007, -0.07}) {
    const ResampledChange change = relative_of(documents(140, 2, per_document));
    REQUIRE(std::isinf(change.studentized[per_document > 0 ? 0 : 3999]));
    const double most = kUnseen * std::abs(per_document);
    const double expected = most * largest_loss(2 / kUnseen, 0, 140, 0.95);
    const Interval cautious = cautious_bounds(change, kNoScores, 0.95);
    CHECK((per_document > 0 ? cautious.high : -cautious.low) == Approx(expected).epsilon(1e-6));
  }
}

TEST_CASE("documents that did not change at all, or all by one share, leave nothing to bound",
          "[eval][statistics]") {
  for (const double change : {0.0, 0.25}) {
    const ResampledChange resampled = relative_of(documents(50, 50, change));
    const Interval bounds = cautious_bounds(resampled, kNoScores, 0.95);
    CHECK(bounds.low == change);
    CHECK(bounds.high == change);
    CHECK(p_worse(resampled, kNoScores, 0.3, false) == 1);
    CHECK(p_worse(resampled, kNoScores, -0.1, false) == Approx(1.0 / 4001));
  }
}

TEST_CASE("an interval at c holds both bounds at c", "[eval][statistics]") {
  const bool few = GENERATE(false, true), scores = GENERATE(false, true);
  const std::vector<Pair> pairs = documents(60, few ? 2 : 40, 0.01);
  const ResampledChange change = relative_of(pairs);
  const auto as_scores = scores ? std::optional<ScoreChanges>({2, 1, 60}) : std::nullopt;
  const Interval inner = cautious_bounds(change, as_scores, 0.95);
  const Interval outer = cautious_bounds(change, as_scores, 0.975);
  CHECK(outer.low <= inner.low);
  CHECK(outer.high >= inner.high);
}

TEST_CASE("a claim is beyond chance where the bound towards it is beyond the limit",
          "[eval][statistics]") {
  const bool higher_is_better = GENERATE(false, true);
  const ResampledChange change =
      relative_of(documents(140, 14, higher_is_better ? -0.02 : 0.02, 1e-4));
  const Interval bounds = cautious_bounds(change, kNoScores, 0.95);
  const double nearest = higher_is_better ? bounds.high : bounds.low;
  const double step = 0.02 * (change.estimate - nearest);  // towards the estimate
  const auto p = [&](double limit) { return p_worse(change, kNoScores, limit, higher_is_better); };
  CHECK(p(nearest + step) > 0.05);
  CHECK(p(nearest - 3 * step) < 0.05);
  CHECK(p(change.estimate) > 0.2);
}

TEST_CASE("answers lost are beyond chance by the score test too", "[eval][statistics]") {
  std::vector<Pair> pairs(200, {1, 1, 1});
  for (size_t i = 0; i < 9; ++i) pairs[i].candidate = 0;
  const ResampledChange change = paired_bootstrap_distribution(pairs, {}).delta;
  const auto scores = score_changes(pairs);
  const double by_percentiles = p_below(change.values, -0.02);
  const double by_score = p_loss_above(9, 0, 200, 0.02);
  CHECK(p_worse(change, scores, -0.02, true) == std::max(by_percentiles, by_score));
  const Interval bounds = cautious_bounds(change, scores, 0.95);
  CHECK(bounds.low <= -largest_loss(9, 0, 200, 0.95));
  CHECK(unchanged_reach(change, scores, 0.95) >= largest_loss(4.5, 4.5, 200, 0.95));
}

TEST_CASE("a change that is no number in a resample has no bound and is beyond no chance",
          "[eval][statistics]") {
  const ResampledChange change = relative_of({{0, 1, 1}, {0, 0, 1}, {1, 1, 1}});
  const Interval bounds = cautious_bounds(change, kNoScores, 0.95);
  CHECK_FALSE(std::isfinite(bounds.low));
  CHECK_FALSE(std::isfinite(bounds.high));
  CHECK(p_worse(change, kNoScores, 0, false) == 1);
}

}  // namespace polygraft::eval
