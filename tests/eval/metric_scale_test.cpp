// tests/eval/metric_scale_test.cpp: each metric is shown in its own unit.
#include <catch2/catch.hpp>

#include "eval/comparison_text.h"
#include "eval/forest.h"
#include "eval/report.h"
#include "tests/eval/comparison_fixture.h"

namespace polygraft::eval {
namespace {

/// A task whose metric is better when higher: 100 documents around `level`.
ResultFolder scored_folder(const std::string& metric, double level) {
  ResultFolder out;
  out.results["higher_is_better"]["flores_de"][metric] = true;
  TaskSamples& task = out.tasks[{"flores_de", "none"}];
  task.metrics = {metric};
  for (int i = 0; i < 100; ++i)
    task.samples.push_back(
        {.doc_id = std::to_string(i), .values = {level * (1 + 0.001 * (i % 10))}});
  return out;
}

}  // namespace

TEST_CASE("a metric beyond 0 to 1 is no percentage", "[eval][compare]") {
  const GateConfig gate = {.margins = {{"flores_de", 1.5}}};
  const Comparison comparison =
      compare_results(scored_folder("chrf", 41), scored_folder("chrf", 40), gate);
  const LanguageTest& test = comparison.tests.front();
  CHECK(comparison.outcome == Outcome::kPass);
  CHECK(test.scale == Scale::kOwn);
  CHECK(level_text(test, 41.25) == "41.2500");
  CHECK(change_text(test) == "-1.00");
  CHECK(margin_text(test) == "-1.50");
  CHECK(change_text(test, Interval{-1.25, 0.5}) == "[-1.25, +0.50]");
  CHECK_THAT(test.reason, Catch::Contains("no worse than -1.0") && !Catch::Contains("pp"));
  CHECK_THAT(comparison_table(comparison), !Catch::Contains("pp"));
  CHECK_THAT(report_html({.title = "t", .comparison = comparison}),
             Catch::Contains("Old languages: other scores"));
}

TEST_CASE("a share stays a percentage, on an axis of its own", "[eval][compare]") {
  Comparison comparison = compare_results(scored_folder("f1", 0.5), scored_folder("f1", 0.499), {});
  CHECK(comparison.tests.front().scale == Scale::kPoints);
  CHECK(level_text(comparison.tests.front(), 0.5) == "50.0 %");
  LanguageTest other = comparison.tests.front();
  other.scale = Scale::kOwn;
  comparison.tests.push_back(other);
  CHECK(forest_groups(comparison).size() == 2);
}

}  // namespace polygraft::eval
