// tests/eval/golden_test.cpp: tables and reports as people see them, against tests/golden/eval.
#include "tests/golden/golden.h"

#include "tests/eval/report_fixture.h"

namespace polygraft::eval {
namespace {

/// One test of every outcome.
Comparison mixed_comparison() {
  auto [baseline, candidate] = bpb_folders({{"de", {0.0005, 0.002}},
                                            {"es", {0.004, 0.002}},
                                            {"it", {0.0012, 0.02}},
                                            {"cs", {0.0, 0.002, 12}},
                                            {"fr", {}},
                                            {"id", {-0.2, 0.05}}});
  bpb_samples(candidate, "fr").pop_back();
  return compare_results(baseline, candidate, {.new_languages = {{"id"}}});
}

}  // namespace

TEST_CASE("golden: a comparison in the terminal", "[eval][golden]") {
  check_golden("eval/comparison.txt", comparison_table(mixed_comparison()));
}

TEST_CASE("golden: a comparison for a pull request", "[eval][golden]") {
  check_golden("eval/comparison.md", comparison_markdown(mixed_comparison()));
}

TEST_CASE("golden: a comparison with a noise floor", "[eval][golden]") {
  const auto [baseline, candidate] = bpb_folders({{"de", {0.0005, 0.002}}, {"es", {0.004, 0.002}}});
  const auto [unused, repeat] = bpb_folders({{"de", {0, 0.0001}}, {"es", {0, 0.0001}}});
  Comparison comparison = compare_results(baseline, candidate, {});
  add_noise_floor(comparison, baseline, repeat);
  check_golden("eval/noise.txt", comparison_table(comparison));
}

TEST_CASE("golden: a comparison that passes", "[eval][golden]") {
  check_golden("eval/pass.txt", comparison_table(sample_report().comparison));
}

TEST_CASE("golden: a comparison for a CI system", "[eval][golden]") {
  check_golden("eval/junit.xml", report_junit("gate", mixed_comparison()));
}

TEST_CASE("golden: a whole report in Markdown", "[eval][golden]") {
  check_golden("eval/report.md", report_markdown(sample_report()));
}

}  // namespace polygraft::eval
