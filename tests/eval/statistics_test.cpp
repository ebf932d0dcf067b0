// tests/eval/statistics_test.cpp: the bootstrap against closed forms, numpy and scipy
// (fixtures/make_statistics.py).
#include "eval/statistics.h"

#include <boost/math/distributions/normal.hpp>
#include <catch2/catch.hpp>
#include <cmath>
#include <ctime>
#include <limits>

#include "core/error.h"
#include "core/random.h"
#include "tests/eval/fixture.h"

namespace polygraft::eval {
namespace {

std::vector<Pair> pairs_of(const Json& rows) {
  std::vector<Pair> pairs;
  for (const Json& row : rows) pairs.push_back({row[0], row[1], row[2]});
  return pairs;
}

/// Documents of random length with a common difficulty, so that pairing matters.
std::vector<Pair> random_pairs(int64_t count, double relative, uint64_t seed) {
  RandomStream random(seed, "statistics_test");
  std::vector<Pair> pairs;
  for (int64_t i = 0; i < count; ++i) {
    const double num_bytes = 50 + 400 * random.uniform();
    const double bits = num_bytes * (1.4 + 0.3 * random.normal());
    pairs.push_back({bits, bits * (1 + relative + 0.01 * random.normal()), num_bytes});
  }
  return pairs;
}

/// Of a ratio of sums, by the formula in words: the root of the summed squares of what each
/// document is off the ratio by, over the sum of its denominators.
double standard_error_of(const ResampledChange& change) {
  double squares = 0, sum = 0;
  for (size_t d = 0; d < change.numerators.size(); ++d) {
    squares += std::pow(change.numerators[d] - change.estimate * change.denominators[d], 2);
    sum += change.denominators[d];
  }
  return std::sqrt(squares) / sum;
}

void require_close(Interval interval, const Json& expected, double tolerance) {
  CHECK(interval.low == Approx(expected[0].get<double>()).margin(tolerance));
  CHECK(interval.high == Approx(expected[1].get<double>()).margin(tolerance));
}

}  // namespace

TEST_CASE("the estimate is a ratio of sums, not a mean of ratios", "[eval][statistics]") {
  const PairedEstimate estimate = paired_bootstrap({{10, 11, 5}, {90, 90, 95}}, {});
  CHECK(estimate.baseline == Approx(1.0));
  CHECK(estimate.candidate == Approx(1.01));
  CHECK(estimate.delta == Approx(0.01));
  CHECK(estimate.relative == Approx(0.01));
  CHECK(estimate.num_pairs == 2);
}

TEST_CASE("two documents have three resamples, so quantiles are known exactly",
          "[eval][statistics]") {
  // Changes 0 (a, a), 0.5 (a, b) and 1 (b, b) with probabilities 1/4, 1/2, 1/4.
  const std::vector<Pair> pairs = {{1, 1, 1}, {1, 2, 1}};
  const auto wide = paired_bootstrap(pairs, {.confidence = 0.95});
  CHECK(wide.delta_interval.low == 0);
  CHECK(wide.delta_interval.high == 1);
  CHECK(wide.relative_bounds.high == 1);
  const auto narrow = paired_bootstrap(pairs, {.confidence = 0.4});
  CHECK(narrow.delta_interval.low == 0.5);
  CHECK(narrow.delta_interval.high == 0.5);
  const auto resampled = paired_bootstrap_distribution(pairs, {.resamples = 4000});
  CHECK(p_above(resampled.delta.values, 0.5) == Approx(0.75).margin(0.03));
  CHECK(p_below(resampled.delta.values, 0.5) == Approx(0.75).margin(0.03));
}

TEST_CASE("two bounds at the outer level are a two-sided interval, wider for few documents only",
          "[eval][statistics]") {
  const auto width_ratio = [](int64_t num_documents) {
    const std::vector<Pair> pairs = random_pairs(num_documents, 0.002, 5);
    const Interval plain = paired_bootstrap(pairs, {.confidence = 0.95}).relative_interval;
    const Interval wide = paired_bootstrap(pairs, {.confidence = 0.975}).relative_bounds;
    CHECK(wide.low <= plain.low);
    CHECK(wide.high >= plain.high);
    return (wide.high - wide.low) / (plain.high - plain.low);
  };
  CHECK(width_ratio(6) >
        1.2);  // Student's quantile over the bootstrap's, 5 degrees of freedom: 1.4
  CHECK(width_ratio(2000) < 1.02);
}

TEST_CASE("intervals agree with scipy.stats.bootstrap", "[eval][statistics]") {
  const Json known = fixture_json("statistics.json");
  const auto estimate = paired_bootstrap(pairs_of(known["pairs"]),
                                         {.confidence = 0.9, .resamples = 20000, .seed = 3});
  const double tolerance = known["tolerance"];  // four Monte Carlo errors of an interval's end
  CHECK(estimate.relative == Approx(known["relative"].get<double>()).epsilon(1e-12));
  require_close(estimate.relative_interval, known["relative_interval"], tolerance);
  require_close(estimate.delta_interval, known["delta_interval"], tolerance);
  require_close(estimate.relative_bounds, known["relative_bounds"], tolerance);
}

TEST_CASE("resamples in their own standard errors are spread as numpy's", "[eval][statistics]") {
  const Json known = fixture_json("statistics.json");
  const ResampledChange change =
      paired_bootstrap_distribution(pairs_of(known["pairs"]), {.resamples = 20000}).relative;
  CHECK(quantile(change.studentized, 0.05) == Approx(known["studentized"][0]).margin(0.06));
  CHECK(quantile(change.studentized, 0.95) == Approx(known["studentized"][1]).margin(0.06));
  CHECK(change.error == Approx(standard_error_of(change)).epsilon(1e-12));
}

TEST_CASE("documents count by their size, and one may hold most of the change",
          "[eval][statistics]") {
  const auto even = paired_bootstrap({{1, 1, 5}, {1, 2, 5}, {1, 0, 5}}, {});
  CHECK(even.effective_documents == Approx(3));
  CHECK(even.largest_share == 0.5);
  const auto uneven = paired_bootstrap({{1, 1, 1}, {1, 1.25, 1}, {1, 0, 8}}, {});
  CHECK(uneven.effective_documents == Approx(100.0 / 66));
  CHECK(uneven.largest_share == 0.8);
  CHECK(uneven.largest_pair == 2);
  CHECK(paired_bootstrap({{1, 1, 1}}, {}).largest_share == 0);
}

TEST_CASE("quantiles equal numpy's and Holm's adjustment follows its definition",
          "[eval][statistics]") {
  const Json known = fixture_json("statistics.json");
  const auto values = known["quantiles"]["values"].get<std::vector<double>>();
  for (const Json& row : known["quantiles"]["table"]) {
    CHECK(quantile(values, row[0]) == Approx(row[1].get<double>()).epsilon(1e-14));
  }
  const auto adjusted = holm_adjusted(known["holm"]["raw"].get<std::vector<double>>());
  const auto expected = known["holm"]["adjusted"].get<std::vector<double>>();
  REQUIRE(adjusted.size() == expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    CHECK(adjusted[i] == Approx(expected[i]).epsilon(1e-12));
}

TEST_CASE("documents with several samples are drawn whole, as scipy does with their sums",
          "[eval][statistics]") {
  const Json known = fixture_json("statistics.json");
  std::vector<Pair> pairs = pairs_of(known["pairs"]);
  const BootstrapOptions options = {.confidence = 0.9, .resamples = 20000, .seed = 3};
  const auto alone = paired_bootstrap(pairs, options);
  for (size_t i = 0; i < pairs.size(); ++i)
    pairs[i].document = 1 + known["clusters"][i].get<uint64_t>();
  const auto estimate = paired_bootstrap(pairs, options);
  CHECK(estimate.num_pairs == 40);
  CHECK(estimate.num_documents == 10);
  CHECK(alone.num_documents == 40);
  CHECK(estimate.relative == Approx(alone.relative).epsilon(1e-12));
  require_close(estimate.relative_interval, known["clustered_interval"], known["tolerance"]);
  CHECK(std::abs(estimate.relative_interval.low - alone.relative_interval.low) >
        2 * known["tolerance"].get<double>());  // the check above can fail
}

TEST_CASE("copies of a document add no evidence when they are known as copies",
          "[eval][statistics]") {
  auto pairs = random_pairs(100, 0.01, 6);
  for (size_t i = 0; i < 100; ++i) pairs[i].document = i + 1;
  const auto once = paired_bootstrap(pairs, {});
  for (int copy = 0; copy < 3; ++copy)
    for (size_t i = 0; i < 100; ++i) pairs.push_back(Pair(pairs[i]));
  const auto four_times = paired_bootstrap(pairs, {});
  CHECK(four_times.relative_error == Approx(once.relative_error).epsilon(1e-9));
  for (Pair& pair : pairs) pair.document = 0;
  CHECK(paired_bootstrap(pairs, {}).relative_error == Approx(once.relative_error / 2).epsilon(0.1));
}

TEST_CASE("random groups of very many documents keep the interval", "[eval][statistics]") {
  // The standard error of a mean of independent values is known; both sides of the limit meet it.
  for (const size_t count : {kMaxDrawn, 5 * kMaxDrawn + 7}) {
    RandomStream random(8, "groups");
    std::vector<Pair> pairs;
    for (size_t i = 0; i < count; ++i) pairs.push_back({1, 1 + random.normal(), 1});
    const auto estimate = paired_bootstrap(pairs, {.resamples = 1000});
    CHECK(estimate.num_documents == static_cast<int64_t>(count));
    CHECK(estimate.delta_error == Approx(1 / std::sqrt(count)).epsilon(0.1));
  }
}

TEST_CASE("McNemar's exact test and sample sizes equal statsmodels'", "[eval][statistics]") {
  const Json known = fixture_json("statistics.json");
  for (const Json& row : known["mcnemar"])
    CHECK(mcnemar_p(row[0], row[1]) == Approx(row[2].get<double>()).epsilon(1e-9));
  for (const Json& row : known["documents_needed"]) {
    const double margin = row[0], spread = row[1], confidence = row[2], power = row[3];
    const double reach = boost::math::quantile(boost::math::normal(), confidence) * spread;
    const double needed = growth_for_power(margin, spread, reach, power);
    CHECK(needed == Approx(row[4].get<double>()).epsilon(1e-4));
    CHECK(non_inferiority_power(margin, spread / std::sqrt(needed), reach / std::sqrt(needed)) ==
          Approx(power).epsilon(1e-9));
  }
}

TEST_CASE("answers that changed sides are counted, McNemar's test is of independent ones only",
          "[eval][statistics]") {
  std::vector<Pair> pairs = {{1, 0, 1, 1}, {1, 0, 1, 2}, {0, 1, 1, 3}, {1, 1, 1, 4}, {0, 0, 1, 0}};
  for (const bool shared : {false, true}) {
    if (shared) pairs[0].document = 4;
    const auto result = changed_answers(pairs);
    REQUIRE(result);
    CHECK(result->lost == 2);
    CHECK(result->won == 1);
    CHECK(result->mcnemar_p == (shared ? std::optional<double>() : 1.0));
  }
  CHECK_FALSE(changed_answers({{0.5, 1, 1}}));
}

TEST_CASE("what scores lost is counted in documents of one size", "[eval][statistics]") {
  // Two documents of one answer, one of two whose changes cancel half: 16 / 6 documents.
  const auto changes =
      score_changes({{1, 0, 1, 0}, {0, 0.5, 1, 7}, {1, 0, 1, 8}, {0.25, 0.75, 1, 8}});
  REQUIRE(changes);
  CHECK(changes->num_documents == Approx(16.0 / 6));
  CHECK(changes->lost == Approx(16.0 / 6 * 1.5 / 4));
  CHECK(changes->won == Approx(16.0 / 6 * 0.5 / 4));
  CHECK_FALSE(score_changes({{0, 1, 1}, {31.5, 32, 1}}));
  CHECK_FALSE(score_changes({{-0.1, 0, 1}}));
}

TEST_CASE("answers lost out of a hundred are hundredths, resampled or not", "[eval][statistics]") {
  for (const int right : {30, 67, 96}) {
    std::vector<Pair> pairs(100, {0, 0, 1});
    for (int i = 0; i < right; ++i) pairs[static_cast<size_t>(i)] = {1, i == 0 ? 0.0 : 1.0, 1};
    const PairedDistribution found = paired_bootstrap_distribution(pairs, {});
    CHECK(found.estimate.delta == -0.01);
    // None, one, two, ... lost: as likely to be at most one as Poisson's law has it, near enough.
    CHECK(1 - p_below(found.delta.values, -0.01) == Approx(1 - 0.736).margin(0.04));
  }
}

TEST_CASE("the same input gives the same bits, another seed does not", "[eval][statistics]") {
  const auto pairs = random_pairs(60, 0.01, 1);
  const auto once = paired_bootstrap(pairs, {.seed = 5});
  const auto again = paired_bootstrap(pairs, {.seed = 5});
  const auto other = paired_bootstrap(pairs, {.seed = 6});
  CHECK(once.relative_interval.low == again.relative_interval.low);
  CHECK(once.relative_interval.high == again.relative_interval.high);
  CHECK(once.relative_interval.low != other.relative_interval.low);
}

TEST_CASE("two equal models differ by exactly nothing", "[eval][statistics]") {
  auto pairs = random_pairs(40, 0.0, 2);
  for (Pair& pair : pairs) pair.candidate = pair.baseline;
  const auto resampled = paired_bootstrap_distribution(pairs, {});
  CHECK(resampled.estimate.relative_interval.low == 0);
  CHECK(resampled.estimate.relative_interval.high == 0);
  CHECK(p_above(resampled.relative.values, 0) == 1);
}

TEST_CASE("a 90 % interval covers the true change in about 90 % of samples", "[eval][statistics]") {
  int covered = 0;
  constexpr int kSamples = 300;
  for (int sample = 0; sample < kSamples; ++sample) {
    const auto estimate =
        paired_bootstrap(random_pairs(80, 0.02, 100 + static_cast<uint64_t>(sample)),
                         {.confidence = 0.9, .resamples = 400});
    const Interval interval = estimate.relative_interval;
    covered += interval.low <= 0.02 && 0.02 <= interval.high ? 1 : 0;
  }
  CHECK(covered > 0.83 * kSamples);  // 0.90 less four standard errors
  CHECK(covered < 0.97 * kSamples);
}

TEST_CASE("pairing removes what both models find hard", "[eval][statistics]") {
  const auto width = [](const std::vector<Pair>& pairs) {
    const Interval interval = paired_bootstrap(pairs, {}).delta_interval;
    return interval.high - interval.low;
  };
  const std::vector<Pair> pairs = random_pairs(200, 0.001, 4);
  std::vector<Pair> of_others = pairs;
  for (size_t i = 0; i < pairs.size(); ++i)
    of_others[i].candidate = pairs[(i + 1) % pairs.size()].candidate;
  CHECK(width(pairs) < 0.1 * width(of_others));
}

TEST_CASE("a baseline of zero has no relative change", "[eval][statistics]") {
  const auto estimate = paired_bootstrap({{0, 1, 1}, {0, 0, 1}}, {});
  CHECK(std::isnan(estimate.relative));
  CHECK(std::isnan(estimate.relative_interval.low));
  CHECK(estimate.delta == 0.5);
}

TEST_CASE("what cannot be resampled is refused", "[eval][statistics]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_AS(paired_bootstrap({}, {}), NotComparable);
  CHECK_THROWS_AS(paired_bootstrap({{1, nan, 1}}, {}), NumericError);
  CHECK_THROWS_AS(paired_bootstrap({{1, 1, 0}}, {}), NumericError);
  CHECK_THROWS_AS(paired_bootstrap({{1, 1, -1}}, {}), NumericError);
  CHECK_THROWS_AS(paired_bootstrap({{1, 1, 1}}, {.confidence = 1.0}), ConfigError);
  CHECK_THROWS_AS(paired_bootstrap({{1, 1, 1}}, {.resamples = 0}), ConfigError);
}

TEST_CASE("2,000 resamples of 2,000 documents take well under a second", "[eval][statistics]") {
  const auto pairs = random_pairs(2000, 0.001, 9);
  const std::clock_t start = std::clock();  // processor time: a busy machine must not decide
  const auto estimate = paired_bootstrap(pairs, {});
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  CHECK(estimate.num_pairs == 2000);
  CHECK(seconds < 1.0);
}

}  // namespace polygraft::eval
