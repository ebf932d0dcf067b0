// tests/eval/compare_documents_test.cpp: what makes two results not comparable.
#include <catch2/catch.hpp>
#include <cmath>

#include "eval/compare.h"
#include "tests/eval/comparison_fixture.h"

namespace polygraft::eval {
namespace {

/// The only test after `edit` changed the candidate's samples.
template <class Edit>
LanguageTest after_edit(Edit edit) {
  auto [baseline, candidate] = bpb_folders({{"de", {}}});
  edit(candidate);
  const Comparison comparison = compare_results(baseline, candidate, {});
  CHECK(comparison.outcome == Outcome::kNotComparable);
  REQUIRE(comparison.tests.size() == 1);
  return comparison.tests.front();
}

}  // namespace

TEST_CASE("results of different documents are not comparable, and the first difference is named",
          "[eval][compare]") {
  const auto reason = [](auto edit) { return after_edit(edit).reason; };
  CHECK_THAT(reason([](ResultFolder& f) { bpb_samples(f, "de").pop_back(); }),
             Catch::Contains("document 199 is missing in the candidate"));
  CHECK_THAT(reason([](ResultFolder& f) { bpb_samples(f, "de")[3].target_hash = 0; }),
             Catch::Contains("document 3 differs: target_hash"));
  CHECK_THAT(reason([](ResultFolder& f) { bpb_samples(f, "de")[4].prompt_hash = 0; }),
             Catch::Contains("document 4 differs: prompt_hash"));
  CHECK_THAT(reason([](ResultFolder& f) { bpb_samples(f, "de")[5].values[1] += 1; }),
             Catch::Contains("document 5 differs: bytes"));
  CHECK_THAT(reason([](ResultFolder& f) { bpb_samples(f, "de")[6].values[0] = std::nan(""); }),
             Catch::Contains("document 6 has no bits_per_byte"));
  CHECK_THAT(reason([](ResultFolder& f) { f.tasks.clear(); }),
             Catch::Contains("missing in the candidate"));
}

TEST_CASE("of different documents it is told how many are the same", "[eval][compare]") {
  const auto reason = [](auto edit) { return after_edit(edit).reason; };
  CHECK(reason([](ResultFolder& f) { bpb_samples(f, "de").pop_back(); }) ==
        "document 199 is missing in the candidate (of 200 in the baseline and 199 in the candidate "
        "199 are the same)");
  auto [baseline, candidate] = bpb_folders({{"de", {}}});
  for (ResultFolder* folder : {&baseline, &candidate}) {
    auto& samples = bpb_samples(*folder, "de");
    for (size_t i = 0; i < samples.size(); ++i) samples[i].doc_hash = i + 1;
  }
  auto& samples = bpb_samples(candidate, "de");
  std::swap(samples[3].doc_hash, samples[7].doc_hash);
  samples[9].doc_hash = 1000;
  CHECK(compare_results(baseline, candidate, {}).tests.front().reason ==
        "document 3 differs: doc_hash (of 200 in the baseline and 200 in the candidate 197 are the "
        "same, 2 the same text under another id or prompt)");
  for (Sample& sample : bpb_samples(baseline, "de")) sample.doc_hash = 0;
  for (Sample& sample : samples) sample.doc_hash = 0;
  samples[4].prompt_hash = 1;
  CHECK_THAT(compare_results(baseline, candidate, {}).tests.front().reason,
             Catch::Contains("document 4") && Catch::Contains("199 are the same, 1 the same text"));
}

TEST_CASE("another version of a task is not comparable", "[eval][compare]") {
  auto [baseline, candidate] = bpb_folders({{"de", {}}});
  baseline.results["versions"]["bpb_de"] = 1.0;
  candidate.results["versions"]["bpb_de"] = 2.0;
  const Comparison comparison = compare_results(baseline, candidate, {});
  CHECK(comparison.outcome == Outcome::kNotComparable);
  CHECK_THAT(comparison.tests.front().reason, Catch::Contains("version"));
  candidate.results["versions"]["bpb_de"] = 1.0;
  CHECK(compare_results(baseline, candidate, {}).outcome == Outcome::kPass);
}

TEST_CASE("filters are compared one by one, few-shot counts and groups as they are stated",
          "[eval][compare]") {
  const auto folder = [](int shots) {
    ResultFolder out;
    for (const char* filter : {"strict", "flexible"}) {
      TaskSamples& task = out.tasks[{"gsm_de", filter}];
      task.metrics = {"exact_match"};
      for (int i = 0; i < 300; ++i)
        task.samples.push_back({.doc_id = std::to_string(i), .values = {i % 2 + 0.0}});
    }
    out.results["n-shot"]["gsm_de"] = shots;
    return out;
  };
  const Comparison same = compare_results(folder(5), folder(5), {});
  REQUIRE(same.tests.size() == 2);
  CHECK(same.tests[0].metric == "exact_match,flexible");
  CHECK(same.tests[1].metric == "exact_match,strict");
  CHECK(same.outcome == Outcome::kPass);
  CHECK_THAT(compare_results(folder(5), folder(0), {}).tests[0].reason,
             Catch::Contains("\"n-shot\" of the task differs: 5 and 0"));
  ResultFolder one_filter = folder(5);
  one_filter.tasks.erase({"gsm_de", "strict"});
  CHECK_THAT(compare_results(folder(5), one_filter, {}).tests[1].reason,
             Catch::Contains("missing in the candidate"));
}

TEST_CASE("bits below zero are not compared", "[eval][compare]") {
  const LanguageTest test = after_edit(
      [](ResultFolder& candidate) { bpb_samples(candidate, "de").front().values[0] = -1; });
  CHECK_THAT(test.reason, Catch::Contains("has bits below zero"));
}

}  // namespace polygraft::eval
